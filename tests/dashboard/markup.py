"""What every page has to hold to, read from its markup."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from typing import Any

from litestar.testing import TestClient


class Markup(HTMLParser):
    """Collects the facts that the rules are about."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.faults: list[str] = []
        self.headings = 0
        self.language, self.title = "", ""
        self.ids: list[str] = []
        self.labelled: set[str] = set()
        self.fields: list[dict[str, str | None]] = []
        self.landmarks: set[str] = set()
        self.in_title = self.in_script = False
        self.depth_label = 0
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        about = dict(attrs)
        self.faults += [
            f"<{tag}> carries {name}" for name in about if name == "style" or name.startswith(("on", "hx-on"))
        ]
        self.faults += [
            f"<{tag}> leads to a script" for value in about.values() if (value or "").startswith("javascript")
        ]
        source = about.get("src") or about.get("href") or ""
        if tag in ("script", "link", "img") and not source.startswith("/"):
            self.faults.append(f"<{tag}> is inline or loads from elsewhere")
        if tag == "style" or (tag == "img" and "alt" not in about):
            self.faults.append(f"<{tag}> is inline or has no alt")
        if about.get("id"):
            self.ids.append(about["id"] or "")
        self.language = (about.get("lang") or "") if tag == "html" else self.language
        self.headings += tag == "h1"
        self.landmarks |= {tag} & {"main", "header", "footer", "nav"}
        self.in_title = self.in_title or tag == "title"
        if tag == "label":
            self.depth_label += 1
            self.labelled.add(about.get("for") or "")
        if tag in ("input", "select", "textarea") and about.get("type") not in ("hidden", "submit"):
            self.fields.append(about | {"inside a label": "yes" if self.depth_label else None})

    def handle_endtag(self, tag: str) -> None:
        if tag == "title":
            self.in_title = False
        if tag == "label":
            self.depth_label -= 1

    def handle_data(self, data: str) -> None:
        self.title += data if self.in_title else ""


def get(client: TestClient[Any], path: str, status: int = 200) -> str:
    """The page at this address, after its markup and its headers were found to be in order."""
    answer = client.get(path, headers={"accept": "text/html"}, follow_redirects=False)
    assert answer.status_code == status, f"{path}: {answer.status_code}"
    if status in (301, 302, 303):
        return str(answer.headers["location"])
    check(path, answer.text, dict(answer.headers))
    return str(answer.text)


def to_sign(client: TestClient[Any], **answers: str) -> str:
    """The page on which the consent is signed, once each question was answered; what is not named, with no."""
    at = "/visit/consent"
    names = re.findall(r'action="/visit/consent/([a-z]+)"', get(client, at))
    while names and names[0] != "name":
        draft = at.partition("?draft=")[2]
        at = str(
            client.post(
                f"/visit/consent/{names[0]}", data={"answer": answers.get(names[0], "no"), "draft": draft},
                follow_redirects=False,
            ).headers["location"]
        )  # fmt: skip
        names = re.findall(r'action="/visit/consent/([a-z]+)"', get(client, at))
    return get(client, at)


def check(path: str, html: str, headers: dict[str, str]) -> None:
    assert "default-src 'none'" in headers["content-security-policy"]
    assert "unsafe" not in headers["content-security-policy"]
    assert headers["cache-control"] == "no-store"
    markup = Markup(html)
    faults = list(markup.faults)
    if markup.headings != 1:
        faults.append(f"{markup.headings} first-level headings")
    if not markup.title.strip() or not markup.language:
        faults.append("no title or no language")
    if not {"main", "header", "footer"} <= markup.landmarks:
        faults.append("a landmark is missing")
    if len(markup.ids) != len(set(markup.ids)):
        faults.append("an id stands twice")
    for field in markup.fields:
        if not field["inside a label"] and field.get("id") not in markup.labelled and not field.get("aria-label"):
            faults.append(f"a field without a label: {field.get('name')}")
    assert not faults, f"{path}: {faults}"
