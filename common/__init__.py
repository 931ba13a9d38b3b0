"""The floor of the toolkit: errors, settings, seeds, words, files. Imports nothing of ours."""
