"""What a photo shows, without a database; most of it runs in a child."""
