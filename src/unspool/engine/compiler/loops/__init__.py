"""From a graph to loops over rows: fusion, buffers, the loop IR."""
