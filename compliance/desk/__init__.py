"""The desk of requests: who asks, what is done about it, and the letters that say so."""
