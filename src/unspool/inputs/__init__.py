"""Inputs of models: texts, numeric vectors, sounds and images, one folder per kind.

An input reads values from rows, fits a vocabulary or statistics to the training data, and encodes values into batches.
An input also builds the encoder network, from a batch to states, (time, batch, width). The task adds the output layer.
"""

from unspool.inputs.catalog import INPUTS, labelled_rows, read_labelled
from unspool.inputs.entry import InputEntry, LabelledColumns

__all__ = ["INPUTS", "InputEntry", "LabelledColumns", "labelled_rows", "read_labelled"]
