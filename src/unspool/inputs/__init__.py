"""Inputs: what goes into a model. A folder for each kind: texts, vectors of numbers.

An input reads values from rows, learns from those of the training data, and then encodes values into batches and builds
the network that turns a batch into states, (time, batch, width). A task decides what comes out.
"""

from unspool.inputs.catalog import INPUTS, labelled_rows, read_labelled
from unspool.inputs.entry import InputEntry, LabelledColumns

__all__ = ["INPUTS", "InputEntry", "LabelledColumns", "labelled_rows", "read_labelled"]
