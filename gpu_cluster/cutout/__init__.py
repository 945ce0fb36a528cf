"""Studio portraits of somebody's own photos: cut out, framed, lit and set on a backdrop. Nothing is generated."""
