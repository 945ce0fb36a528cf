"""Workbooks becoming people: batches, previews, imports, corrections."""
