"""Trimaps, mattes and straight foregrounds."""
