"""Input of images: files, arrays, and grids of features from other programs."""
