"""JSON edges of what owners and operators keep: programs' keys, and the sender."""
