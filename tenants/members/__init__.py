"""Members of a company, their links, and who may do what."""
