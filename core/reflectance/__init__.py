"""Albedo."""
