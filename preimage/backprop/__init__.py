"""Back-projection of activations: deconvnet, top patches."""
