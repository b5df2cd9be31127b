"""Passes over graphs: hoisting, affine prologues, autodiff, recomputation."""
