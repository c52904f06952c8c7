"""The administration of the key service: a table of acts, done beside the database or over HTTP."""
