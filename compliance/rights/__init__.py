"""What people may ask for: access packages, and requests that wait for somebody."""
