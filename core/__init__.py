"""relume: colour-managed nodes that relight people in film plates and pull their mattes."""

from importlib.metadata import version as _version

__version__ = _version("relume")
