"""Drawn people: who they are and how they are drawn."""
