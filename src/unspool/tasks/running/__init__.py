"""Training of tasks, and model folders: saving, loading, resuming and model cards."""
