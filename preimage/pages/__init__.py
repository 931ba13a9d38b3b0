"""HTML pages of the preimage commands."""
