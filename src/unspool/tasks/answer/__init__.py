"""The task `answer`: question answering from question–answer pairs."""
