"""Concept finder for fitted tasks: which unit tracks a property of the text, and whether the network uses it."""
