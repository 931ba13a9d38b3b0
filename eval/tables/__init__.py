"""Results as Markdown tables, one module a kind of result."""
