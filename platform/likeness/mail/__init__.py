"""Mail as jobs, and SMTP."""
