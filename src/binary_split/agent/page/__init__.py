"""The page of the agent: what a technician in the field needs, kept fresh by a small script."""
