"""Region proposals and RoI-align."""
