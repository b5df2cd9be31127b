"""Components shared by several tasks: settings, encoder–decoders, metrics, baselines, traces."""
