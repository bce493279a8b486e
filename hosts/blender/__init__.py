"""Blender: an extension made of the node declarations, and a node group that needs no relume.

What runs inside Blender is the folder `addon`, under the GPL as Blender's Python interface asks; it
talks to the worker as another process.
"""
