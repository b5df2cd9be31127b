"""Code generation: from loop IR to LLVM's language, for one instruction set."""
