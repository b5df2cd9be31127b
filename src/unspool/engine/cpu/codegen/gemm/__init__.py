"""LLVM code of matrix products: microkernels on vectors and AMX tiles, packing, cache blocking."""
