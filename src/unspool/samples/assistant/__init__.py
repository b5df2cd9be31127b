"""Files that `unspool init assistant` writes: commands and pairs of a sample assistant."""
