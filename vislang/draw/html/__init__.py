"""HTML pages: the document, shared elements, the search field, thumbnails."""
