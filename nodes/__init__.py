"""The nodes: one short file each, listed in `registry`."""
