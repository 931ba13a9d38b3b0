"""CNNs with named layers that gradients can be taken through."""
