"""The weights that ship with relume, and how they are found and checked."""
