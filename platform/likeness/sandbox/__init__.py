"""Children that decode what strangers hand in, and what the kernel lets them do."""
