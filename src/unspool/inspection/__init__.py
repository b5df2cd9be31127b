"""Inspection: traces of gates, states and attention for one input, and their views and files."""

from unspool.inspection.chart import bar_chart
from unspool.inspection.files import read_trace, write_trace
from unspool.inspection.grid import Grid, Lookups
from unspool.inspection.maps import Map
from unspool.inspection.recorder import Recording
from unspool.inspection.terminal import Gates, HeatMap, Prediction, show
from unspool.inspection.trace import Trace
from unspool.inspection.unit_names import UnitName

__all__ = [
    "Gates",
    "Grid",
    "HeatMap",
    "Lookups",
    "Map",
    "Prediction",
    "Recording",
    "Trace",
    "UnitName",
    "bar_chart",
    "read_trace",
    "show",
    "write_trace",
]
