"""Many images as shards: each a part of a folder or a tar file, and each worked on by itself."""
