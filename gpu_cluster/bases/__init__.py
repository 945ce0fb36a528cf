"""Bases: what each is, and what is particular to its family."""
