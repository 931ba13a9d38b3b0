"""Words aligned to image regions (Karpathy & Fei-Fei 2015)."""
