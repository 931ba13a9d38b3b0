"""Frozen CNNs and their outputs: preprocessing recipes, backbones with taps, and the one feature cache.

Import from the modules: `features.preprocess`, `features.backbones`, `features.pipeline`, `features.cache`.
"""
