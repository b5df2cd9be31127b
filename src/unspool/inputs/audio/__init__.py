"""Input of sounds: recordings, and sequences of feature vectors from other programs."""
