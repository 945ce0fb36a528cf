"""How the small base was trained on drawn people."""
