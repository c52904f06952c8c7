"""The vendor's key service: its state on disk, its tokens, and the HTTP API that releases fragments."""
