"""The task `algorithm`: a network that learns an algorithm from exercises."""
