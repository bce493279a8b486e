"""Environments and the light maps prefiltered from them, as plain functions on arrays."""
