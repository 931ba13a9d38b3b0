"""Frozen CNNs by name: registry, weights, input sizes."""
