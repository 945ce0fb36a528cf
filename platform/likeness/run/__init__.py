"""The processes: everybody is known here, and nobody below imports it."""
