"""What reproduces the original code of Kiros et al. (2014): its GRU, its Adam, its released files."""
