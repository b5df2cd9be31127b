"""Several inputs in one row, such as a poster and a plot: each is encoded by its own network, and one head joins them."""
