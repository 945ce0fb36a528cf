"""What every page of the visit has around it."""
