"""Inspection: traces of gates, states and attention for one input, and their views and files."""

from unspool.inspection.chart import bar_chart
from unspool.inspection.difference import TraceDifference, compare_traces
from unspool.inspection.edits import Edit
from unspool.inspection.files import read_trace, write_trace
from unspool.inspection.fork import Fork
from unspool.inspection.fork_view import show_fork
from unspool.inspection.grid import Grid, Lookups
from unspool.inspection.maps import Map
from unspool.inspection.recipes import read_recipe, write_recipe
from unspool.inspection.recorder import Recording
from unspool.inspection.terminal import Gates, HeatMap, Prediction, show
from unspool.inspection.trace import Trace

__all__ = [
    "Edit",
    "Fork",
    "Gates",
    "Grid",
    "HeatMap",
    "Lookups",
    "Map",
    "Prediction",
    "Recording",
    "Trace",
    "TraceDifference",
    "bar_chart",
    "compare_traces",
    "read_recipe",
    "read_trace",
    "show",
    "show_fork",
    "write_recipe",
    "write_trace",
]
