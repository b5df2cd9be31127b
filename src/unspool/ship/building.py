"""Builder of programs, and the operations of each layer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from unspool.errors import UsageError
from unspool.layers import CharacterComposition, FullSoftmax, Readout, Recurrent, TokenEmbedding
from unspool.ship.sheet import (
    Activate,
    Add,
    Advance,
    Array,
    Concat,
    Convolve,
    LookUp,
    Operation,
    Pool,
    Port,
    Product,
    Program,
    Softmax,
    Spell,
    Unroll,
)
from unspool.ship.step_graph import step_graph

__all__ = ["ProgramBuilder", "array", "state_ports"]


def array(tensor: Tensor) -> Array:
    """Return a tensor as a contiguous array of float32."""
    return np.ascontiguousarray(tensor.detach().to(torch.float32).cpu().numpy())


class ProgramBuilder:
    """Collects the operations of a program; every method adds some, and returns the name of their value.

    Args:
        inputs: Inputs of the program.
    """

    def __init__(self, *inputs: Port) -> None:
        self.inputs = inputs
        self.operations: list[Operation] = []
        self._counts = {port.name: 1 for port in inputs}

    def name(self, word: str) -> str:
        """Return a name that no other value has."""
        while True:
            self._counts[word] = self._counts.get(word, 0) + 1
            name = word if self._counts[word] == 1 else f"{word}_{self._counts[word]}"
            if name == word or name not in self._counts:
                self._counts.setdefault(name, 1)
                return name

    def add(self, operation: type[Any], word: str, /, **fields: Any) -> str:
        """Add one operation, whose value is named after a word."""
        name = self.name(word)
        self.operations.append(operation(output=name, **fields))
        return name

    def finish(self, *outputs: Port) -> Program:
        """Return the program."""
        return Program(self.inputs, tuple(self.operations), outputs)

    def product(self, layer: nn.Linear, input: str, word: str = "product") -> str:
        """Add a linear layer."""
        bias = None if layer.bias is None else array(layer.bias)
        return self.add(Product, word, input=input, weight=array(layer.weight), bias=bias)

    def embed(self, embedding: TokenEmbedding, ids: str = "ids", characters: str = "characters") -> str:
        """Add the embedding of tokens: by a table, and by characters beside it."""
        vectors = self.add(LookUp, "vectors", ids=ids, table=array(embedding.table.weight))
        if embedding.characters is None:
            return vectors
        spelled = self.add(Spell, "spelled", characters=characters, program=_spelling(embedding.characters))
        return self.add(Concat, "embedded", inputs=(vectors, spelled))

    def encode(self, stack: nn.Module | None, input: str) -> str:
        """Add an encoder, from a sequence to a sequence.

        Raises:
            UsageError: If there are no operations for such an encoder.
        """
        if stack is None:
            return input
        if isinstance(stack, Recurrent):
            return self.recurrent(stack, input)[0]
        raise UsageError(f"a model with {type(stack).__name__} can't be exported; one of recurrent layers can")

    def recurrent(
        self, stack: Recurrent, input: str, initial: tuple[tuple[tuple[str, ...], ...], ...] | None = None
    ) -> tuple[str, tuple[tuple[tuple[str, ...], ...], ...]]:
        """Add recurrent layers.

        Args:
            stack: The layers.
            input: A sequence.
            initial: Names of each part of the state of every layer and direction; the cells' initial states if omitted.

        Returns:
            The last layer's outputs, and the names of the state after the last step, as `initial`.
        """
        width, final = stack.input_size, []
        for depth, cells in enumerate(stack._cells()):
            outputs, after = [], []
            for direction, cell in enumerate(cells):
                step = step_graph(cell)
                side = "" if stack.directions == 1 else ("_forward", "_backward")[direction]
                layer = f"layer{depth + 1}{side}"
                parts = tuple(self.name(f"{layer}_state{n + 1}") for n in range(len(step.shapes)))
                before = () if initial is None else initial[depth][direction]
                reverse = direction == 1
                fields = {"input": input, "step": step, "reverse": reverse, "initial": before, "final": parts}
                outputs.append(self.add(Unroll, layer, **fields))
                after.append(parts)
            output = outputs[0] if len(outputs) == 1 else self.add(Concat, f"layer{depth + 1}", inputs=tuple(outputs))
            if stack.residual and width == stack.output_size:
                output = self.add(Add, f"residual{depth + 1}", inputs=(input, output))
            input, width = output, stack.output_size
            final.append(tuple(after))
        return input, tuple(final)

    def advance(self, stack: Recurrent, input: str, state: Sequence[str]) -> tuple[str, list[str]]:
        """Add one step of recurrent layers in one direction.

        Args:
            stack: The layers.
            input: A row.
            state: Names of all parts of the state, layer after layer.

        Returns:
            The output, and the names of the new state.
        """
        parts, width = list(state), stack.input_size
        after: list[str] = []
        for depth, (cell,) in enumerate(stack._cells(), 1):
            step = step_graph(cell)
            before = tuple(parts.pop(0) for _ in step.shapes)
            names = tuple(self.name(f"layer{depth}_after{n + 1}") for n in range(len(step.shapes)))
            output = self.add(Advance, f"layer{depth}", input=input, step=step, state=before, after=names)
            if stack.residual and width == stack.output_size:
                output = self.add(Add, f"residual{depth}", inputs=(input, output))
            input, width = output, stack.output_size
            after += names
        return input, after

    def log_probabilities(self, softmax: nn.Module, input: str) -> str:
        """Add an output layer over a vocabulary.

        Raises:
            UsageError: If it is no full softmax.
        """
        if not isinstance(softmax, FullSoftmax):
            raise UsageError("a model with an adaptive softmax can't be exported; one with output = full can")
        if softmax.project is not None:
            input = self.product(softmax.project, input, "projected")
        fields = {"weight": array(softmax.weight), "bias": array(softmax.bias)}
        return self.add(Softmax, "scores", input=self.add(Product, "logits", input=input, **fields), log=True)

    def readout(self, readout: Readout, states: str) -> str:
        """Add the pooling of a sequence to a row."""
        if readout.pooling == "attention":
            hidden = self.add(
                Activate, "attention_hidden", input=self.product(readout.project, states), function="tanh"
            )
            scores = self.product(readout.score, hidden, "attention_scores")
            weights = self.add(Softmax, "attention_weights", input=scores, over="time")
            return self.add(Pool, "pooled", input=states, kind="sum", weights=weights)
        return self.add(Pool, "pooled", input=states, kind=readout.pooling, directions=readout.directions)


def _spelling(composition: CharacterComposition) -> Program:
    """Return the program from the characters of words to their vectors."""
    build = ProgramBuilder(Port("ids", "ids"), Port("lengths", "lengths"))
    vectors = build.add(LookUp, "vectors", ids="ids", table=array(composition.embedding.weight))
    if composition.kind == "recurrent":
        _, ((forward, backward),) = build.recurrent(composition.recurrent, vectors)
        word = build.add(Concat, "word", inputs=(forward[0], backward[0]))
    else:
        filters = composition.filters
        bias = None if filters.bias is None else array(filters.bias)
        features = build.add(Convolve, "features", input=vectors, weight=array(filters.weight), bias=bias)
        pooled = build.add(Pool, "pooled", input=features, kind="max")
        word = build.add(Activate, "word", input=pooled, function="relu")
    return build.finish(Port(word, "row", composition.output_size))


def state_ports(stack: Recurrent) -> list[Port]:
    """Return a row for each part of the state of recurrent layers in one direction."""
    widths = [part[0].numel() for (state,) in stack.initial_state(1) for part in state]
    return [Port(f"state{number}", "row", width) for number, width in enumerate(widths, 1)]
