"""The task `write`: language modelling and text generation."""
