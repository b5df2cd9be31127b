"""Writer of ONNX graphs: nodes, constants and subgraphs, in few lines."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unspool.errors import MissingExtraError

__all__ = ["OPSET", "Constants", "GraphWriter", "onnx_package"]

OPSET = 20
"""Version of ONNX's operators; ONNX Runtime 1.17 (2024) reads it."""
FLOAT, INT64, BOOL = 1, 7, 9
"""Numbers of ONNX's element types."""


def onnx_package() -> Any:
    """Return the package `onnx`.

    Raises:
        MissingExtraError: If it is not installed.
    """
    try:
        import onnx
    except ImportError:
        raise MissingExtraError("writing ONNX", "onnx", "onnx") from None
    return onnx


@dataclass
class Constants:
    """Constants of a file; subgraphs read those of the whole file."""

    arrays: dict[str, NDArray[Any]] = field(default_factory=dict)
    _names: dict[Any, str] = field(default_factory=dict)

    def add(self, values: Any, word: str) -> str:
        """Return the name of a constant; equal ones are stored once."""
        array = np.asarray(values)
        key = (array.dtype.str, array.shape, array.tobytes() if array.dtype != object else tuple(array.ravel()))
        if key not in self._names:
            self._names[key] = f"{word}_{len(self._names)}"
            self.arrays[self._names[key]] = array
        return self._names[key]


class GraphWriter:
    """Collects the nodes of a graph; `op` returns the name of a node's result.

    Args:
        prefix: Begin of the names of results, different for every subgraph of a file.
        constants: Constants of the file.
    """

    def __init__(self, prefix: str = "", constants: Constants | None = None) -> None:
        self.constants = constants if constants is not None else Constants()
        self.nodes: list[Any] = []
        self._prefix, self._subgraphs = prefix, 0
        self._helper = onnx_package().helper
        self._types = onnx_package().TensorProto

    def op(self, kind: str, *inputs: str, name: str | None = None, domain: str = "", **attributes: Any) -> str:
        """Add a node with one result."""
        result = name or f"{self._prefix}{kind.lower()}_{len(self.nodes)}"
        self.nodes.append(self._helper.make_node(kind, list(inputs), [result], domain=domain, **attributes))
        return result

    def several(self, kind: str, count: int, *inputs: str, **attributes: Any) -> list[str]:
        """Add a node with several results."""
        results = [f"{self._prefix}{kind.lower()}_{len(self.nodes)}_{number}" for number in range(count)]
        self.nodes.append(self._helper.make_node(kind, list(inputs), results, **attributes))
        return results

    def constant(self, values: Any, word: str = "constant") -> str:
        """Return the name of a constant."""
        return self.constants.add(values, word)

    def ints(self, *numbers: int) -> str:
        """Return the name of a constant of whole numbers, (numbers,)."""
        return self.constant(np.array(numbers, np.int64), "ints")

    def number(self, value: float) -> str:
        """Return the name of a constant, float32 ()."""
        return self.constant(np.array(value, np.float32), "number")

    def texts(self, *values: str) -> str:
        """Return the name of a constant of texts, (values,)."""
        return self.constant(np.array(values, object), "texts")

    def rename(self, value: str, name: str) -> str:
        """Give a value another name, as an output of the graph needs it."""
        return self.op("Identity", value, name=name)

    def subgraph(self) -> GraphWriter:
        """Return the writer of the body of a loop, which shares the constants."""
        self._subgraphs += 1
        return GraphWriter(f"{self._prefix}b{len(self.nodes)}_{self._subgraphs}_", self.constants)

    def port(self, name: str, shape: Sequence[int | str] | None, kind: str = "FLOAT") -> Any:
        """Return the description of an input or output."""
        return self._helper.make_tensor_value_info(name, getattr(self._types, kind), shape)

    def body(self, inputs: Sequence[Any], outputs: Sequence[Any]) -> Any:
        """Return the graph as the body of a loop."""
        return self._helper.make_graph(self.nodes, self._prefix or "main", list(inputs), list(outputs))

    def model(self, inputs: Sequence[Any], outputs: Sequence[Any], title: str, facts: dict[str, str]) -> Any:
        """Return the graph as a model with its constants."""
        onnx = onnx_package()
        initializers = [_tensor(name, array) for name, array in self.constants.arrays.items()]
        graph = self._helper.make_graph(self.nodes, title, list(inputs), list(outputs), initializers)
        domains = {"": OPSET, "ai.onnx.ml": 3, "com.microsoft": 1}
        opsets = [self._helper.make_opsetid(domain, version) for domain, version in domains.items()]
        model = self._helper.make_model(graph, opset_imports=opsets, ir_version=9, producer_name="unspool")
        self._helper.set_model_props(model, facts)
        onnx.checker.check_model(model)
        return model


def _tensor(name: str, array: NDArray[Any]) -> Any:
    onnx = onnx_package()
    if array.dtype == object:
        texts = [text.encode() for text in array.ravel()]
        return onnx.helper.make_tensor(name, onnx.TensorProto.STRING, array.shape, texts)
    return onnx.numpy_helper.from_array(array if array.ndim == 0 else np.ascontiguousarray(array), name)
