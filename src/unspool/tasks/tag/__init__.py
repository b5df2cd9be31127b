"""The task `tag`: sequence labelling, one tag per word."""
