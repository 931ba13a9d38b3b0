"""Readers of captioned images and videos."""
