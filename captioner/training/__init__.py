"""Losses and training loops of the caption generators."""
