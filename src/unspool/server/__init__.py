"""HTTP server: predictions, traces, generation and sessions of any model, and the studio's pages.

Its modules import starlette and uvicorn (extra `server`); no module imports torch before a model is loaded.
"""
