"""Employees of a company, where each of them stands, and in which way headshots are made."""
