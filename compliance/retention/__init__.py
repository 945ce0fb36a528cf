"""What is due, what is late, and its deletion."""
