"""Image archives: tars as `docker save` writes them, OCI layouts, and their digests. Pure bytes."""
