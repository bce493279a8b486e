"""The transport of light over a subject and the picture it makes under given lights."""
