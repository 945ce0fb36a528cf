"""What everything stands on: settings, database, errors, clock, log."""
