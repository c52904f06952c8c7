"""The agent: the device's service. Unlock over HTTP, with status, progress and a page for technicians."""
