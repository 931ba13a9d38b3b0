"""Trained models written as ONNX graphs or SavedModels."""
