"""Drawn scenes with captions: a synthetic data set."""
