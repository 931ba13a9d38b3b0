"""Image classifiers to train and compare."""
