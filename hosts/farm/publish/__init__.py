"""Plug-ins of pyblish, one a file; the folder may stand in `PYBLISHPLUGINPATH`.

They act on instances of the family `relume.sequence`, which `collect_sequence` makes from
`context.data["relume"]`: without that, they do nothing beside a studio's own.
"""
