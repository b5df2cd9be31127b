"""The task `read`: answers to questions about stories."""
