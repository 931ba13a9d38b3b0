"""The evaluation suite: NumPy in, numbers out. No model lives here."""
