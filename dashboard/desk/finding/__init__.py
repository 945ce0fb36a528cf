"""The page of all people as a question: what its address asks, and what can be chosen to narrow it."""
