"""Input of numeric feature vectors: one row of a table, one number per column."""
