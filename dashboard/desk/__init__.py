"""HR's pages."""
