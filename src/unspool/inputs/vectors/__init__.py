"""Vectors: rows of numbers, a number for each column of a table."""
