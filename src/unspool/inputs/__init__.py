"""Inputs: what goes into a model. A folder for each kind: texts, vectors of numbers.

An input reads values from rows, learns from those of the training data, and then encodes values into batches and builds
the network that turns a batch into states, (time, batch, width). A task decides what comes out.
"""
