"""Inspection: traces of gates, states and attention for one input, and their views and files."""

from unspool.inspection.chart import bar_chart
from unspool.inspection.files import read_trace, write_trace
from unspool.inspection.gradient_comparison import GradientComparison, compare_gradients
from unspool.inspection.gradient_files import write_gradients
from unspool.inspection.gradient_views import GradientMap, show_gradients
from unspool.inspection.gradients import Decay, Gradients, StepJacobians
from unspool.inspection.grid import Grid, Lookups
from unspool.inspection.maps import Map
from unspool.inspection.recorder import Recording
from unspool.inspection.terminal import Gates, HeatMap, Prediction, show
from unspool.inspection.trace import Trace

__all__ = [
    "Decay",
    "Gates",
    "GradientComparison",
    "GradientMap",
    "Gradients",
    "Grid",
    "HeatMap",
    "Lookups",
    "Map",
    "Prediction",
    "Recording",
    "StepJacobians",
    "Trace",
    "bar_chart",
    "compare_gradients",
    "read_trace",
    "show",
    "show_gradients",
    "write_gradients",
    "write_trace",
]
