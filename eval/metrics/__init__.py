"""Metrics in NumPy; anyone may import them."""
