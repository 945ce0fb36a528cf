"""Measurements that anybody can repeat; each prints what it found and writes it as JSON."""
