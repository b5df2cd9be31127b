"""The task `write`: what comes next in a text."""
