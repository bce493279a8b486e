"""The pinned OCIO configuration."""
