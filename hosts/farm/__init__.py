"""Many frames, processes and machines: nothing is lost, and nothing half-written."""
