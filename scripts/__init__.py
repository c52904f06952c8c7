"""What a developer runs: `make help` names it."""
