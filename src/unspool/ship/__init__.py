"""Ship: run a trained model without Python or torch.

A task describes its model as a `Sheet`: a closed list of operations over (time, batch), with weights, text in and text
out. `judge` runs a sheet in plain numpy, and defines what is right. Each target is a folder that turns a sheet into a
file: `onnx`, `c`, `page`.
"""
