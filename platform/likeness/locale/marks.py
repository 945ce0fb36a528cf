"""How source code marks sentences for the catalogues where it does not say them itself."""

from __future__ import annotations

from collections.abc import Mapping
from string import Formatter
from typing import Any


def N_(sentence: str) -> str:
    """The sentence as it is, to be said in somebody's language later on."""
    return sentence


def NN_(one: str, many: str) -> tuple[str, str]:
    """Both forms of a sentence with a number, to be said in somebody's language later on."""
    return one, many


class Told(str):
    """A sentence with its values, for those who read it in another language; as a text it is the English one."""

    sentence: str
    many: str
    values: Mapping[str, object]

    def __new__(cls, sentence: str, /, *, many: str = "", **values: object) -> Told:
        chosen = many if many and values.get("n") != 1 else sentence
        told = super().__new__(cls, chosen.format(**in_english(values)) if values else chosen)
        told.sentence, told.many, told.values = sentence, many, values
        return told

    def then(self, more: str) -> Told:
        """With another sentence after it."""
        return Told(ONE_AFTER_ANOTHER, first=self, second=more) if more else self


ONE_AFTER_ANOTHER = "{first} {second}"


def in_english(values: Mapping[str, object]) -> dict[str, object]:
    return {name: f"{value:,}" if type(value) is int else value for name, value in values.items()}


def packed(value: Any) -> Any:
    """As what JSON can hold."""
    if isinstance(value, Told):
        return {"told": [value.sentence, value.many, {name: packed(one) for name, one in value.values.items()}]}
    if isinstance(value, dict):
        return {name: packed(one) for name, one in value.items()}
    return [packed(one) for one in value] if isinstance(value, list | tuple) else value


def unpacked(value: Any) -> Any:
    """What was packed, its tuples as lists. It may come from a process that read a hostile file: a sentence that asks for
    more than the values it was given by name is refused, because filling it in would read this program's memory."""
    if isinstance(value, list):
        return [unpacked(one) for one in value]
    if not isinstance(value, dict):
        return value
    if "told" in value:
        sentence, many, values = value["told"]
        for one in (sentence, many):
            if not all(name is None or (name.isidentifier() and not form and not how)
                       for _, name, form, how in Formatter().parse(one)):  # fmt: skip
                raise ValueError("This is no sentence of the catalogue.")
        return Told(sentence, many=many, **unpacked(values))
    return {name: unpacked(one) for name, one in value.items()}


class Term(str):
    """A value within a sentence that is itself one of the catalogue, such as the name of a field."""

    __slots__ = ()
