"""The published form of the JSON files in an access package, made from the registry and from the tables' own types."""

from __future__ import annotations

from typing import Any

from sqlalchemy import JSON, Boolean, Column, DateTime, Float, Integer, LargeBinary
from sqlmodel import SQLModel

from compliance.rights.contents import CONTENTS, PackageSection
from compliance.rights.reading import OPENED, PROCESSOR

VERSION = 1
PATH = "/schemas/access-package-1.json"


def build(address: str) -> dict[str, Any]:
    """JSON Schema 2020-12. `x-portable` marks what GDPR article 20 is about: what the person provided."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"{address}{PATH}",
        "title": "A file of an access package of Likeness",
        "type": "object",
        "required": ["version", "section", "records"],
        "additionalProperties": False,
        "properties": {
            "version": {"const": VERSION},
            "section": {"enum": [str(one) for one in PackageSection]},
            "records": {
                "type": "object",
                "additionalProperties": False,
                "properties": {
                    name: {"type": "array", "description": contents.title, "items": _row(name)}
                    for name, contents in CONTENTS.items()
                }
                | {"sub_processor": {"type": "array", "items": _processor()}},
            },
        },
    }


def _processor() -> dict[str, Any]:
    said = {"type": ["string", "null"], "x-portable": False}
    return {"type": "object", "additionalProperties": False, "properties": dict.fromkeys(PROCESSOR, said)}


def _row(name: str) -> dict[str, Any]:
    contents, columns = CONTENTS[name], SQLModel.metadata.tables[name].c
    return {
        "type": "object",
        "required": list(contents.shown),
        "additionalProperties": False,
        "properties": {
            one: {**_type(name, columns[one]), "x-portable": one in contents.portable} for one in contents.shown
        },
    }


def _type(name: str, column: Column[Any]) -> dict[str, Any]:
    if f"{name}.{column.name}" in OPENED or isinstance(column.type, JSON):
        return {}  # What was sealed says what it says; lists of a program's own are as that program wrote them.
    if isinstance(column.type, DateTime):
        return {"type": ["string", "null"], "format": "date-time"}
    for kind, said in ((Boolean, "boolean"), (Integer, "integer"), (Float, "number"), (LargeBinary, "string")):
        if isinstance(column.type, kind):
            return {"type": [said, "null"]}
    return {"type": ["string", "null"]}
