"""Unlocking: check, fetch the fragment, unseal, load, verify."""
