"""`python -m unspool` is the command `unspool`."""

from unspool.cli.main import run

if __name__ == "__main__":
    run()
