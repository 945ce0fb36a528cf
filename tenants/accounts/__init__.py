"""How a company's own accounts come in: given by operators and by its owner, and told to both."""
