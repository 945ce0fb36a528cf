"""What legal and the public read about this instance, made from what it does and from what is declared."""
