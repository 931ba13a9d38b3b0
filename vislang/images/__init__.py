"""Any file, bytes, array or video frame to an upright RGB image and to a network's input."""
