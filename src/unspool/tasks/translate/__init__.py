"""The task `translate`: one text for another."""
