"""The console: the administration for people, as pages that a server renders and that run no script."""
