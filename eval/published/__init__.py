"""Numbers printed in papers."""
