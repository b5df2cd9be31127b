"""The task `classify`: a label, or several, for each text."""
