"""Where archives come from: each transport gives a seekable, read-only byte source."""
