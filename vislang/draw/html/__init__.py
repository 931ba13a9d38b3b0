"""HTML pages: frame, style, search box, thumbnails."""
