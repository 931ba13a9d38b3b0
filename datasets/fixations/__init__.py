"""Readers of eye-tracking data sets."""
