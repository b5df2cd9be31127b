"""What the benchmarks compare with: plain torch programs, the same cells in jax, and other toolkits."""
