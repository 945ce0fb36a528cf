"""The providers that wrap the companies' keys; `providers.py` names them."""
