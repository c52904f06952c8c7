"""Archive formats: pure bytes in, pure bytes out. No network, no engine, no environment."""
