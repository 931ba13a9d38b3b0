"""What `python -m eval.run` can measure, one module a task."""
