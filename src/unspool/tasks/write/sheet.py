"""Sheet of a language model: one step, from a unit and the state to the next unit and the new state."""

from __future__ import annotations

from collections.abc import Sequence

from unspool.data import END
from unspool.errors import UsageError
from unspool.layers import Recurrent
from unspool.models import LanguageModel
from unspool.ship.building import ProgramBuilder, array, state_ports
from unspool.ship.sheet import Constant, LookUp, Port, Sheet, Writer
from unspool.ship.sheet_text import Writing
from unspool.ship.step_graph import step_graph
from unspool.ship.text_building import text_front
from unspool.tasks.write.fitted import FittedLanguageModel

__all__ = ["language_model_sheet"]


def language_model_sheet(model: LanguageModel, fitted: FittedLanguageModel, never: Sequence[int]) -> Sheet:
    """Return the sheet of a language model: the network alone, without the n-grams of a mixture.

    Args:
        model: The network, in evaluation mode.
        fitted: Its vocabulary.
        never: Units that are never written.

    Raises:
        UsageError: If the network has no operations in the sheet.
    """
    stack = model.decoder
    if not isinstance(stack, Recurrent):
        raise UsageError("a language model of a Transformer can't be exported; one of recurrent layers can")
    ports = state_ports(stack)
    start = ProgramBuilder()
    begins = [part for cells in stack._cells() for part in step_graph(cells[0]).start]
    for port, row in zip(ports, begins, strict=True):
        start.add(Constant, port.name, row=row)
    step = ProgramBuilder(Port("id", "id"), *ports)
    vectors = step.add(LookUp, "vectors", ids="id", table=array(model.embedding.table.weight))
    outputs, after = step.advance(stack, vectors, [port.name for port in ports])
    scores = step.log_probabilities(model.softmax, outputs)
    new = [Port(name, "row", port.width) for name, port in zip(after, ports, strict=True)]
    writer = Writer(
        start.finish(*ports),
        step.finish(Port(scores, "row", len(fitted.vocabulary)), *new),
        tuple(port.name for port in ports),
        first=END,
        end=-1,
        longest=0,
        never=tuple(never),
    )
    front = text_front(fitted.vocabulary)
    return Sheet("write", front, None, Writing(front.units), writer)
