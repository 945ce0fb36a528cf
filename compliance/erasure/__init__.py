"""Erasing a person or a batch, and looking again afterwards."""
