"""The command `likeness`."""
