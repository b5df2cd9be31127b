"""Other frameworks that run the compiler's graphs, to be timed beside our paths.

They stand in the package and not in `benchmarks/`, because the installed command `unspool bench cell` runs them on the
user's own cell. They use the compiler's public graph (`unspool.engine.compiler`) and nothing of the CPU backend.
"""
