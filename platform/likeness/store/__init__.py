"""Encrypted objects in a folder or a bucket."""
