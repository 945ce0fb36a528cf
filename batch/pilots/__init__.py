"""A batch is tried with three people before everybody else of it is invited."""
