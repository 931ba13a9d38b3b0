"""Style transfer by Gram matrices."""
