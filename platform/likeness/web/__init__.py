"""What every HTTP route shares: the caller, errors, uploads, streams."""
