"""A model as one HTML page: WebAssembly where the browser has it, plain JavaScript everywhere."""

from unspool.ship.page.artefact import PageArtefact
from unspool.ship.page.page import export

__all__ = ["PageArtefact", "export"]
