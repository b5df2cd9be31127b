"""The task `answer`: an assistant that answers questions from pairs."""
