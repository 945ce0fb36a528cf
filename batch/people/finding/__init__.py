"""Names as they are sought and sorted by."""
