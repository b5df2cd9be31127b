"""Several inputs in one row, such as a poster and a plot: each has its own encoder, and one head joins them."""
