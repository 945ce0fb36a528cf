"""Scans, certificates and exports."""
