"""Nuke, without compiling anything: gizmos and toolsets made from text."""
