"""Errors, settings, files, seeds, exit codes; imports nothing else of the project."""
