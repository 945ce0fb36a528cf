"""How a page is made: loaded rows go into a template, and HTMX gets the one block of it that it asked for.

A block that is fetched again by itself carries the name of the element it replaces, so the page, its URL and its
fragment cannot drift apart.
"""

from __future__ import annotations

import gzip
import io
import re
import secrets
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any
from uuid import UUID

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template, pass_context
from jinja2.runtime import Context
from litestar import MediaType, Request, Response
from litestar.plugins.jinja import JinjaTemplateEngine
from litestar.response import Redirect
from litestar.template import TemplateConfig
from markupsafe import Markup, escape

from batch.people import ways
from dashboard.assets import asset
from dashboard.reader import kept, reader, switch
from likeness.ground.db import utc_now
from likeness.ground.errors import LikenessError
from likeness.identity import Caller, Kind
from likeness.locale.languages import LANGUAGES
from likeness.locale.words import Words
from likeness.mail.paragraphs import HEADING, joined
from likeness.web.guards import RETRY_AFTER, caller_or_none, cookie, end_before, kernel_of
from likeness.web.paging import CursorWrong, Key, Page
from tenants.members import members, permissions
from tenants.members.access import member_behind
from tenants.members.permissions import Permission

FOLDER = Path(__file__).parent
ITEM = re.compile(r"\(\w\) ")
BROKEN = re.compile("[ \u202f](?=[;:?!»])|(?<=«)[ \u202f]")
"""Where no line of French may break, whoever typed which space. Notices are not changed by it: their words are signed."""
BRACKETS = re.compile(r"\[([^\[\]]*)\]")


@pass_context
def _day(context: Context, moment: date) -> str:
    said: Words = context["reads"]
    return said.day(moment)


@pass_context
def _moment(context: Context, moment: datetime) -> str:
    said: Words = context["reads"]
    return said.moment(moment)


@pass_context
def _span(context: Context, length: timedelta | float) -> str:
    said: Words = context["reads"]
    return said.span(length)


@pass_context
def _since(context: Context, length: timedelta | float) -> str:
    said: Words = context["reads"]
    return said.since(length)


@pass_context
def _unbroken(context: Context, sentence: str) -> str:
    """A sentence that a rule made, as `_` has those of templates."""
    return BROKEN.sub("\u00a0", sentence) if context["reads"].language == "fr" else sentence


def _iso(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="seconds")


def _ago(span: timedelta | float) -> str:
    """A duration in its largest unit, as `3 days` or `12 min`."""
    seconds = span.total_seconds() if isinstance(span, timedelta) else span
    for size, one, many in ((86400, "day", "days"), (3600, "hour", "hours"), (60, "min", "min")):
        if seconds >= size:
            count = int(seconds // size)
            return f"{count} {one if count == 1 else many}"
    return f"{int(seconds)} s"


def _short(value: UUID | str) -> str:
    return str(value)[:8]


def _plural(count: int, one: str, many: str) -> str:
    return f"{count:,} {one if count == 1 else many}"


def _paragraphs(text: str) -> list[tuple[str, str]]:
    """A plain text of fixed width as headings (`h`), paragraphs (`p`) and items (`i`), its words left as they are."""
    found: list[tuple[str, str]] = []
    for block in text.strip().split("\n\n"):
        fresh = True
        for line in block.splitlines():
            if HEADING.match(line) and fresh:
                found.append(("h", line.strip()))
            elif ITEM.match(line) or fresh or found[-1][0] == "h":
                found.append(("i" if ITEM.match(line) else "p", line.strip()))
            elif found[-1][0] == "i" and not line.startswith(" "):
                found.append(("p", line.strip()))
            else:
                found[-1] = (found[-1][0], joined([found[-1][1], line.strip()]))
            fresh = False
    return found


def _capital(text: str) -> str:
    """A word as it begins a line; the others stay as they are, because German writes some of them large."""
    return text[:1].upper() + text[1:]


def _bracketed(sentence: str, tag: str, **attributes: str) -> Markup:
    """A sentence in which what stands in `[]` is an element, such as a link, wherever a language has it."""
    if tag == "code":
        attributes["translate"] = "no"  # A browser that translates a page leaves what somebody is to type.
    named = "".join(f' {name}="{escape(value)}"' for name, value in attributes.items())
    marked = BRACKETS.sub(lambda part: f"<{tag}{named}>{part[1]}</{tag}>", str(escape(sentence)))
    return Markup(marked)  # noqa: S704 - escaped above


WORTH_PACKING = 1000
environment = Environment(
    extensions=["jinja2.ext.i18n"],
    loader=FileSystemLoader(FOLDER / "templates"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    auto_reload=False,  # Templates are part of the program: a change of them comes with its next start.
)
environment.filters.update(
    day=_day, moment=_moment, iso=_iso, ago=_ago, span=_span, since=_since, short=_short, plural=_plural,
    paragraphs=_paragraphs, way=ways.purpose_of, bracketed=_bracketed, capital=_capital, unbroken=_unbroken,
)
environment.globals["asset"] = asset
environment.globals["may"] = permissions.of
environment.globals["resting"] = permissions.resting
template_config = TemplateConfig(instance=JinjaTemplateEngine.from_environment(environment))


@lru_cache(maxsize=1000)
def _macros(said: Words) -> object:
    """Handed to each page, because a block that is rendered by itself sees no imports of its template."""
    return environment.get_template("icons.html").make_module({**_words_of(said), "reads": said})


def page(
    request: Request[Any, Any, Any], name: str, context: Mapping[str, Any] | None = None, *, status: int = 200
) -> Response[str]:
    """The whole page; only the block that HTMX names as its target when the template has one of that name."""
    template = environment.get_template(name)
    values = {**_surroundings(request), **(context or {})}
    values |= _said(values["reads"])
    block = request.headers.get("hx-target", "") if request.headers.get("hx-request") else ""
    body = _block(template, block, values) if block in template.blocks else template.render(values)
    # Pages hold people's names and states: neither a shared cache nor the back button may keep them.
    headers = {
        "cache-control": "no-store",
        "vary": "hx-request, hx-target, accept-language, accept-encoding",
        "content-language": values["language"],
    }
    return _packed(request, body, status, headers)


def _packed(request: Request[Any, Any, Any], body: str, status: int, headers: dict[str, str]) -> Response[Any]:
    """The page as the browser may have it, which on a phone is a quarter of its bytes.

    Who watches a connection and can make somebody's browser ask for pages learns from their sizes what is in them
    (BREACH); a file name of random length, which gzip's header may hold and nobody reads, hides a few bytes' difference.
    """
    data = body.encode()
    if len(data) > WORTH_PACKING and "gzip" in request.headers.get("accept-encoding", ""):
        packed = io.BytesIO()
        name = secrets.token_hex(1 + secrets.randbelow(32))
        with gzip.GzipFile(name, "wb", fileobj=packed, compresslevel=5, mtime=0) as out:
            out.write(data)
        data = packed.getvalue()
        headers["content-encoding"] = "gzip"
    return Response(data, status_code=status, media_type=MediaType.HTML, headers=headers)


def _block(template: Template, block: str, values: Mapping[str, Any]) -> str:
    return "".join(template.blocks[block](template.new_context(dict(values))))


def _surroundings(request: Request[Any, Any, Any]) -> dict[str, Any]:
    """What the layout shows around every page: who is signed in, and where they are."""
    caller = caller_or_none(request)
    settings = kernel_of(request).settings
    return {
        "caller": caller,
        "signed_in_as": _name_of(request),
        "kind": caller.kind if caller else None,
        "path": request.url.path,
        "accounts": kernel_of(request).issuer is not None,
        "embedded": settings.embedded and not settings.smtp_url,
        "now": utc_now(),
        "reads": reader(request),
        "switch": switch(request),
        "here": request.url.path,
        "kept": kept(request),
        "this_page": _this_page(request),
    }


def _this_page(request: Request[Any, Any, Any]) -> str:
    """Where this page is found once more; empty for what answers a form, whose address shows nothing by itself."""
    asks = f"?{request.url.query}" if request.url.query else ""
    return request.url.path + asks if request.method == "GET" else ""


def _said(said: Words) -> dict[str, Any]:
    """What templates say sentences with: `_("{n} of {m} photos", n=6, m=8)`, `ngettext("{n} photo", "{n} photos", 6)`."""
    return {
        **_words_of(said),
        "language": said.language,
        "direction": said.direction,
        "languages": LANGUAGES,
        "ui": _macros(said),
    }


def _words_of(said: Words) -> dict[str, Any]:
    # Jinja's own `_` would look `gettext` up anew for each of a page's hundreds of sentences.
    if said.language != "fr":
        return {"_": said.gettext, "gettext": said.gettext, "ngettext": said.ngettext}

    def gettext(sentence: str, /, **values: object) -> str:
        return BROKEN.sub("\u00a0", said.gettext(sentence, **values))

    def ngettext(one: str, many: str, n: int, /, **values: object) -> str:
        return BROKEN.sub("\u00a0", said.ngettext(one, many, n, **values))

    return {"_": gettext, "gettext": gettext, "ngettext": ngettext}


def _name_of(request: Request[Any, Any, Any]) -> str:
    """Of the member whom `access.desk` let in for this page; a part that is fetched by itself shows no name."""
    member = member_behind(request)
    if member is None or request.headers.get("hx-request"):
        return ""
    with suppress(LikenessError):
        return members.profile(kernel_of(request).keys, member).name
    return ""


def error_page(request: Request[Any, Any, Any], error: LikenessError) -> Response[str]:
    """The failure in the words of the error: a page, or a fragment where HTMX waits for one."""
    fragment = bool(request.headers.get("hx-request"))
    said = reader(request)
    try:
        surroundings = _surroundings(request)
    except LikenessError:  # The database is away: the page that says so must not need it.
        surroundings = {"caller": None, "signed_in_as": "", "kind": None, "path": request.url.path, "accounts": False,
                        "embedded": False, "now": utc_now(), "reads": said}  # fmt: skip
    # What was refused was often a form, whose address shows nothing by itself.
    surroundings |= {"switch": "", "here": request.url.path, "kept": "", "this_page": ""} | _said(said)
    body = environment.get_template("fragments/error.html" if fragment else "error.html").render(
        surroundings | {"error": said.error(error), "status": error.status}
    )
    headers = {"cache-control": "no-store"}
    if error.status in RETRY_AFTER:
        headers["retry-after"] = RETRY_AFTER[error.status]
    if fragment:
        # HTMX puts nothing in place for an error status by itself; app.js shows it in the page's message area.
        headers["hx-retarget"], headers["hx-reswap"] = "#messages", "innerHTML"
    return Response(body, status_code=error.status, media_type=MediaType.HTML, headers=headers)


def part_of(request: Request[Any, Any, Any], key: type[Key], most: int, name: str = "after") -> Page[Key]:
    """Which part of a list the address asks for. Anything odd in it means the first, as an old bookmark may hold it."""
    try:
        return Page(key, most, str(request.query_params.get(name, ""))[:100])
    except CursorWrong:
        return Page(key, most, "")


def back(request: Request[Any, Any, Any], path: str) -> Response[Any]:
    """After a form was carried out: on to `path`, so that reloading does not send the form again."""
    if request.headers.get("hx-request"):
        return Response("", status_code=200, media_type=MediaType.HTML, headers={"hx-location": path})
    return Redirect(path, status_code=303)


def signed(request: Request[Any, Any, Any], token: str, path: str) -> Response[Any]:
    """On to `path` with a session's cookie, in the place of the one before; an empty token signs out."""
    end_before(request)
    response: Response[Any] = Redirect(path, status_code=303)
    response.set_cookie(**cookie(kernel_of(request).settings, token))
    return response


def home_of(caller: Caller, roles: list[str]) -> str:
    """The first page of somebody's part."""
    if caller.kind == Kind.OPERATOR:
        return "/operations"
    if caller.kind == Kind.EMPLOYEE:
        return "/visit"
    may = permissions.of(roles)
    if Permission.BATCHES_READ in may:
        return "/desk"
    return "/legal" if Permission.ACTS_READ in may else "/team"
