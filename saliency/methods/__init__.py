"""How the map of a word is computed."""
