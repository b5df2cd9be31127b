"""The graph of one step: nodes, operations, builder, verifier, interpreter."""
