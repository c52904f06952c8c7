"""Published test vectors, unchanged, each with its origin and licence beside it."""
