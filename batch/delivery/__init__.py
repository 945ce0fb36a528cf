"""Released headshots on their way to HR."""
