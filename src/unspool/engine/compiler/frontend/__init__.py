"""From a cell to the IR: fingerprint, trace, shapes, lowering."""
