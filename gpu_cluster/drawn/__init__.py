"""A drawn world of people, and the small base model that is trained on it."""
