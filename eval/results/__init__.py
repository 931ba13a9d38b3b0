"""Result files: written, read, summarised over seeds."""
