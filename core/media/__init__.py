"""Image files and sequences: read, repair, name and write atomically."""
