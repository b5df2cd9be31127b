"""The engine: `unroll` runs a cell over time by the fastest correct path, and `explain` says which path and why.

`request` holds the checked arguments of a call, `dispatch` chooses a path by rule; `reference`, `native`, `scan` and
`cpu` are the paths. `compiler` turns steps into graphs and loops for `cpu`; `rivals` runs the same graphs in other
frameworks. A `stepper` makes one step per call, for text that is written unit by unit.
"""

from unspool.engine.dispatch import PATHS, Dispatch, Report, any_backend, record_dispatch
from unspool.engine.linear import linear, product
from unspool.engine.request import (
    Backend,
    Lengths,
    Path,
    Request,
    check_lengths,
    check_request,
    check_sequences,
    lengths_tensor,
)
from unspool.engine.scan import linear_scan
from unspool.engine.stack import Stack
from unspool.engine.stepper import Stepper
from unspool.engine.unroll import explain, unroll

__all__ = [
    "PATHS",
    "Backend",
    "Dispatch",
    "Lengths",
    "Path",
    "Report",
    "Request",
    "Stack",
    "Stepper",
    "any_backend",
    "check_lengths",
    "check_request",
    "check_sequences",
    "explain",
    "lengths_tensor",
    "linear",
    "linear_scan",
    "product",
    "record_dispatch",
    "unroll",
]
