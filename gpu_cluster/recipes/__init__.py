"""One file for each family of base models; `base.py` says what a family has to answer."""
