"""Legal's pages."""
