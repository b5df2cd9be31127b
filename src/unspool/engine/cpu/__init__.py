"""The CPU compiler: a cell's step to native loops over time, forward and backward."""
