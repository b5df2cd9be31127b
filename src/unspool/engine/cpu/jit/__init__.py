"""Compile LLVM code to machine code, and keep it on disk."""
