"""The link, the notice and the consent; mail to one person."""
