"""The compiler: a cell's step becomes graphs, and graphs become loops. It knows no target.

`lower_cell` returns the `StepGraphs` of a cell: the tape of torch calls on its weights, the prologue, and one step
forward and backward as graphs of `ir`. Backends and rivals start from these; `weights` gives the tape its arguments.

`frontend` traces the step and lowers torch calls to the IR, `ir` is the graph with its operations, verifier and
interpreter, `passes` transform graphs, `loops` fuses graphs into loops over rows. `pipeline` runs all of it.
"""

from unspool.engine.compiler.frontend.cell_fingerprint import weights
from unspool.engine.compiler.pipeline import StepGraphs, lower_cell
from unspool.engine.compiler.refusal import Refusal

__all__ = ["Refusal", "StepGraphs", "lower_cell", "weights"]
