"""The compiler: a cell's step becomes graphs, and graphs become loops. It knows no target.

`frontend` traces the step and lowers torch calls to the IR, `ir` is the graph with its operations, verifier and
interpreter, `passes` transform graphs, `loops` fuses them into loops over rows. `pipeline` runs all of it.
"""
