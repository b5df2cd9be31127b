"""The task `recommend`: predicts the next item of a history."""
