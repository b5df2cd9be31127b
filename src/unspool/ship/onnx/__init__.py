"""ONNX: a sheet as one file that ONNX Runtime runs, with text inside the graph where its own operators allow it."""

from unspool.ship.onnx.running import export

__all__ = ["export"]
