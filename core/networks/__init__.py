"""The building blocks and architectures of the networks (torch is imported here only)."""
