"""Archives in OCI registries: pushed as artifacts, and read as from any web server."""
