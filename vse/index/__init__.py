"""Encoded images in a store: in a folder, LanceDB or PostgreSQL, behind one interface."""
