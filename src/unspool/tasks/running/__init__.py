"""What runs a task: training, model folders, their cards."""
