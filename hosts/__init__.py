"""Hosts: what translates the node declarations for a person or a program."""
