"""Caffe models read without Caffe."""
