"""Webhooks: programs of a company are told when something happened, by ids that say nothing about anybody."""
