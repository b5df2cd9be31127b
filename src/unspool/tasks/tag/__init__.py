"""The task `tag`: a tag for each word."""
