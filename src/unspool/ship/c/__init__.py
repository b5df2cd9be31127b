"""C99 from a sheet: the steps of its cells, its other operations, its texts and weights, in one file.

`step` writes a step of a cell from the engine's fused loops, and `program` the operations around it. `text` writes what
reads a text, and `answers` what prints an answer. `products` packs matrices, and `weights` holds all arrays. `files`
puts them together, and `artefact` compiles and runs the result.
"""

from unspool.ship.c.files import export

__all__ = ["export"]
