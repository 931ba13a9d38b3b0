"""The feature cache: one HDF5 file that every system shares."""
