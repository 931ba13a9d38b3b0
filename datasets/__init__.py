"""Readers of data sets, one per format on disk. They give records; they never touch models."""
