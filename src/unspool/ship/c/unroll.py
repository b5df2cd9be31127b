"""C99 for a cell over time: the loop around a step, in either direction."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from math import prod

from unspool.ship.c.step import Step
from unspool.ship.c.weights import Weights

__all__ = ["write_unroll"]


def write_unroll(step: Step, input_size: int, shapes: Sequence[tuple[int, ...]], weights: Weights) -> str:
    """Return the C function that runs a step over one sequence, after the struct of its memory.

    The function is `void NAME_run(const float *inputs, int count, int reverse, const float *context, float *state,
    float *outputs, struct NAME_run *memory)`. Inputs are (count, input_size) and outputs (count, hidden). `state` holds
    the parts of the state one behind the other, before the first step, and after the last one.

    Args:
        step: The step.
        input_size: Width of one input.
        shapes: Of the parts of the state, without the batch.
        weights: Of the whole file.
    """
    name = step.name
    state_starts = [0, *accumulate(map(prod, shapes))]
    starts = [0, *accumulate(step.outputs)]
    output, *states = step.results
    width = step.outputs[output]

    def source(kind: str, number: int) -> str:
        if kind == "state":
            return f"state + {state_starts[number]}" if number else "state"
        return f"inputs + (size_t)at * {input_size}" if number == 0 else f"context[{number - 1}]"

    context = any(kind == "input" and number > 0 for kind, number in step.inputs)
    sources = [source(*each) for each in step.inputs]
    results = [f"memory->next + {start}" for start in starts[:-1]]
    passed = ["weights"] if weights.parameter else []
    parameters = ["const float *inputs", "int count", "int reverse"]
    parameters += ["const float *const *context"] if context else []
    parameters += ["float *state", "float *outputs", *([weights.parameter] if weights.parameter else [])]
    copies = [
        f"        memcpy(state + {start}, memory->next + {starts[result]}, {prod(shape)} * sizeof(float));"
        for start, result, shape in zip(state_starts, states, shapes, strict=False)
    ]
    unused = [] if ("input", 0) in step.inputs else ["    (void)inputs;"]
    lines = [
        f"struct {name}_run {{",
        f"    struct {name} step;",
        f"    float next[{starts[-1]}];",
        "};",
        "",
        f"static void {name}_run({', '.join(parameters)}, struct {name}_run *memory)",
        "{",
        "    int t;",
        *unused,
        "    for (t = 0; t < count; t++) {",
        "        int at = reverse ? count - 1 - t : t;",
        f"        {name}({', '.join([*sources, *results, *passed, '&memory->step'])});",
        *copies,
        f"        memcpy(outputs + (size_t)at * {width}, memory->next + {starts[output]}, {width} * sizeof(float));",
        "    }",
        "}",
    ]
    return "\n".join(lines) + "\n"
