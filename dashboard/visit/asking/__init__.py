"""Consent, asked one question a page."""
