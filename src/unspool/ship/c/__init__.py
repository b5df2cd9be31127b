"""C99 from a model: the steps of its cells, its other operations, its texts, in one file."""
