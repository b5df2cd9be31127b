"""Concepts: properties of a text, scores of units, controls, mean ablation, reports, and names of units.

`unspool.find_concept` runs the whole for a fitted task.
"""

from unspool.inspection.concepts.labellings import (
    PROPERTIES,
    Labelling,
    Passage,
    brushed,
    column,
    function,
    property_named,
    regex,
)
from unspool.inspection.concepts.report import Ablation, ConceptReport, Excerpt, RankedUnit

__all__ = [
    "PROPERTIES",
    "Ablation",
    "ConceptReport",
    "Excerpt",
    "Labelling",
    "Passage",
    "RankedUnit",
    "brushed",
    "column",
    "function",
    "property_named",
    "regex",
]
