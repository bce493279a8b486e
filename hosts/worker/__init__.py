"""The local worker that hosts send their renders to, and the client that does so."""
