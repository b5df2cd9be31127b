"""Emit: from scheduled kernels to LLVM's language, for one instruction set."""
