"""Downloads with checksums, and archives unpacked safely."""
