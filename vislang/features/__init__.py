"""Images to cached CNN features."""
