"""Caption generators, one published architecture a file."""
