"""Metrics of fixation prediction."""
