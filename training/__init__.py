"""The training lab: data, losses, trainers (extra `[training]`)."""
