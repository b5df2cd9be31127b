"""Decoding: choose units one at a time, over anything that predicts the next."""

from unspool.decoding.sampling import StepModel, sample, sample_next

__all__ = ["StepModel", "sample", "sample_next"]
