"""Jobs as rows, whose turn it is, and the message that says that something is due."""
