"""Gradient search over pixels: objectives, priors, parameterisations, update rules."""
