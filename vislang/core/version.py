"""The version of the toolkit, which setup.py, `vislang --version` and every result read."""

__version__ = "0.1.0"
