"""The page of the agent: what a technician in the field needs, rendered here and kept fresh by a small script."""
