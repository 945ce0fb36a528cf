"""How a batch is invited: everybody, or three people first."""
