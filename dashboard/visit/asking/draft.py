"""What somebody has answered so far, on its way from one page of the consent to the next.

It is kept nowhere: the address of each page carries it, sealed under the person's own key, so that nobody else can read
it or write one that says yes for them. It is no consent, and it ends with the notice that it was begun under.
"""

from __future__ import annotations

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from batch.models import Employee, Purpose
from batch.people import employees
from likeness.keys.keys import KeyFolder
from likeness.keys.sealing import SealBroken

CONTEXT = "consent/draft"
LONGEST = 2000
"""Signs of a sealed draft. One with the longest name that is taken has 1,300."""
LONGEST_NAME = 200


@dataclass(frozen=True)
class Draft:
    answers: dict[Purpose, bool] = field(default_factory=dict)
    """What was asked and answered; a question that is missing was not answered."""
    typed_name: str = ""
    named_otherwise: bool = False

    @property
    def agreed(self) -> list[Purpose]:
        return [purpose for purpose, yes in self.answers.items() if yes]

    def sealed(self, keys: KeyFolder, employee: Employee, version: str) -> str:
        plain = {"notice": version, "answers": {p.value: int(yes) for p, yes in self.answers.items()},
                 "name": self.typed_name[:LONGEST_NAME], "otherwise": self.named_otherwise}  # fmt: skip
        key = keys.open(employees.profile_ref(employee.tenant_id, employee.id))
        words = json.dumps(plain, ensure_ascii=False).encode(errors="surrogatepass")
        return urlsafe_b64encode(key.seal(words, CONTEXT)).decode()


def opened(keys: KeyFolder, employee: Employee, version: str, text: str) -> Draft:
    """An empty one where `text` is not this person's, or was begun under another notice."""
    if not text or len(text) > LONGEST:
        return Draft()
    key = keys.open(employees.profile_ref(employee.tenant_id, employee.id))
    try:
        plain: dict[str, Any] = json.loads(key.open(urlsafe_b64decode(text.encode()), CONTEXT))
    except (ValueError, SealBroken):
        return Draft()
    if plain["notice"] != version:
        return Draft()
    answers = {Purpose(name): bool(yes) for name, yes in plain["answers"].items()}
    return Draft(answers, plain["name"], plain["otherwise"])


def posted(asked: list[Purpose], data: Mapping[str, str]) -> Draft:
    """Of the form that is signed: what it does not say yes to is a no."""
    answers = {purpose: data.get(purpose.value) == "yes" for purpose in asked}
    return Draft(answers, data.get("typed_name", ""), data.get("named_otherwise") == "yes")
