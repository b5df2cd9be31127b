"""The plain loop as judge: in float64, and in the case's own number type where that is worse than the tolerance."""

from __future__ import annotations

import torch
from torch import Tensor

from cases import Case, assert_agrees

__all__ = ["assert_agrees_with_the_plain_loop"]


def assert_agrees_with_the_plain_loop(case: Case, actual: dict[str, Tensor]) -> None:
    """Hold results and gradients against the plain loop in float64.

    Results of float32 that are beyond the tolerance are granted four times the error of the plain loop in float32 on
    top: see `assert_agrees`. That loop runs only then.
    """
    truth = case.double().outputs_and_gradients("reference")
    if case.dtype == torch.float32:
        try:
            assert_agrees(actual, truth, case.dtype)
        except AssertionError:
            assert_agrees(actual, truth, case.dtype, case.outputs_and_gradients("reference"))
    else:
        assert_agrees(actual, truth, case.dtype)
