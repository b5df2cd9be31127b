"""What the benchmarks run: text, and a cell of one's own."""
