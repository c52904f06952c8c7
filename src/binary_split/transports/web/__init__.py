"""Archives on web servers: parts of one file, in blocks, from one place or the next."""
