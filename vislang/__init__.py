"""The ground that every system stands on: images, text, backbones, features, training, drawing."""
