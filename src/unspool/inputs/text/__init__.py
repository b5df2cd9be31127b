"""Input of texts, and of sentences as lists of words."""
