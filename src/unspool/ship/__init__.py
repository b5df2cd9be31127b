"""Ship a trained model: run it without Python and torch."""
