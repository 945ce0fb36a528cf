"""What people read, in their language: catalogues of sentences (`<language>/LC_MESSAGES/likeness.po`), mails and the
notice as files of their own (`<language>/letters`), dates and numbers.

The English sentence is the key. `python -m likeness.locale.update` brings new ones into every catalogue.
"""
