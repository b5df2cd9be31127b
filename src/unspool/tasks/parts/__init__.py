"""Parts that several tasks use: settings, encoders, scores, traces of pairs."""
