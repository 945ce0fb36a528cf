"""Photos handed in: uploads, checks, the set, the person's decisions."""
