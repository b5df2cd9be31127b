"""Inspection: traces of gates, states and attention for one input, and their views and files."""

from unspool.inspection.chart import bar_chart
from unspool.inspection.difference import TraceDifference, compare_traces
from unspool.inspection.edits import Edit
from unspool.inspection.files import read_trace, write_trace
from unspool.inspection.fork import Fork
from unspool.inspection.fork_view import show_fork
from unspool.inspection.gradient_comparison import GradientComparison, compare_gradients
from unspool.inspection.gradient_files import write_gradients
from unspool.inspection.gradient_views import GradientMap, show_gradients
from unspool.inspection.gradients import Decay, Gradients, StepJacobians
from unspool.inspection.grid import Grid, Lookups
from unspool.inspection.maps import Map
from unspool.inspection.picture_maps import PictureMaps
from unspool.inspection.recipes import read_recipe, write_recipe
from unspool.inspection.recorder import Recording
from unspool.inspection.terminal import Gates, HeatMap, Prediction, show
from unspool.inspection.trace import Trace
from unspool.inspection.unit_names import UnitName

__all__ = [
    "Decay",
    "Edit",
    "Fork",
    "Gates",
    "GradientComparison",
    "GradientMap",
    "Gradients",
    "Grid",
    "HeatMap",
    "Lookups",
    "Map",
    "PictureMaps",
    "Prediction",
    "Recording",
    "StepJacobians",
    "Trace",
    "TraceDifference",
    "UnitName",
    "bar_chart",
    "compare_gradients",
    "compare_traces",
    "read_recipe",
    "read_trace",
    "show",
    "show_fork",
    "show_gradients",
    "write_gradients",
    "write_recipe",
    "write_trace",
]
