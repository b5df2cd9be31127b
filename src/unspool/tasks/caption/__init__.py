"""The task `caption`: images to texts."""
