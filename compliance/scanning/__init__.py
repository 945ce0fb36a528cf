"""Looking for what is left of somebody, by other means than those that deleted it; reads and never writes."""
