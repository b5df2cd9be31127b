"""The task `translate`: sequence-to-sequence learning from pairs of texts."""
