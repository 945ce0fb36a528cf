"""How source code marks sentences for the catalogues where it does not say them itself."""

from __future__ import annotations


def N_(sentence: str) -> str:
    """The sentence as it is, to be said in somebody's language later on."""
    return sentence


class Term(str):
    """A value within a sentence that is itself one of the catalogue, such as the name of a field."""

    __slots__ = ()
