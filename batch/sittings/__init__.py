"""Sittings, their runs, and the headshots that come of them."""
