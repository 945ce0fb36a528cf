"""The consent: what happens, then one question a page, then the signature, with which the answers first count.

Each page is an address of its own and works without a script. Until somebody signs, nothing is recorded of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from uuid import UUID

from litestar import Request, Response, get, post
from litestar.params import FromPath, FromQuery
from litestar.response import Redirect

from batch.models import Notice, Purpose
from batch.people import employees, notes, ways
from batch.visit import addresses, consents, notices
from compliance.models import ErasureState
from dashboard.pages import back
from dashboard.visit.answering import deletion
from dashboard.visit.around.frame import EMPLOYEE, Form, show
from dashboard.visit.around.standing import Me, standing
from dashboard.visit.asking.draft import Draft, opened, posted
from dashboard.visit.language import choose
from likeness.ground.db import utc_now
from likeness.ground.errors import LikenessError, NotFound, Unauthorized, Unprocessable
from likeness.kernel import Kernel
from likeness.locale.marks import N_
from likeness.web.guards import kernel_of, signed_in

SIGN = "name"
"""The last page."""
WELCOME = "welcome"


class HalfAnswer(LikenessError):
    """What was agreed to is a whole answer but makes no headshots."""

    status, title = 200, "Something that headshots need is missing"


class NotAnswered(Unprocessable):
    """Somebody went on without an answer."""

    title = "Say yes or no"


class QuestionUnknown(NotFound):
    """This company asks nothing of this name."""

    title = "This question is not asked here"


@dataclass(frozen=True)
class Asking:
    """Who is asked, under which notice, and what about."""

    kernel: Kernel
    me: Me
    notice: Notice
    purposes: dict[Purpose, str]
    """The words of each question."""
    around: dict[str, Any]
    deleted_first: bool
    """What somebody handed in before they said no is not gone yet."""

    @property
    def pages(self) -> list[str]:
        return [*(purpose.value for purpose in self.purposes), SIGN]

    def opened(self, text: str) -> Draft:
        return opened(self.kernel.keys, self.me.employee, self.notice.version, text)

    def sealed(self, draft: Draft) -> str:
        return draft.sealed(self.kernel.keys, self.me.employee, self.notice.version)

    def address(self, page: str, draft: Draft) -> str:
        path = "/visit/welcome" if page == WELCOME else f"/visit/consent/{page}"
        return f"{path}?draft={self.sealed(draft)}"


def _asking(request: Request[Any, Any, Any]) -> Asking:
    kernel, caller = kernel_of(request), signed_in(request)
    with kernel.db.transaction(caller.tenant) as session:
        me = standing(session, kernel, caller.id, utc_now())
        notice = notices.current(session, me.language)
        after = deletion(session, me) if me.employee.opted_out_at else None
        corrected = addresses.corrected(session, caller.id)
        around = {
            "said": notes.for_people_of(session, kernel.keys, me.employee.batch_id),
            "notice": notice,
            "kind": ways.kind(me.tenant),
            "corrected": corrected[0] if corrected else None,
            "source": notices.after(me.tenant.source_days, me.words),
            "headshots": notices.after(me.tenant.headshot_days, me.words),
        }
        purposes = consents.words(session, notice.language)
    return Asking(kernel, me, notice, purposes, around, after is not None and after.state != ErasureState.CERTIFIED)


@get("/visit/welcome", sync_to_thread=True, guards=EMPLOYEE)
def show_welcome(request: Request[Any, Any, Any], draft: FromQuery[str] = "") -> Response[Any]:
    """What happens, in six cards, with the whole notice one tap away."""
    asking = _asking(request)
    if asking.deleted_first:
        return back(request, "/visit/declined")
    begun = asking.opened(draft)
    return show(request, "visit/welcome.html", asking.me, 1, asking.around | {"carried": _kept(asking, begun)})


@get("/visit/consent", sync_to_thread=True, guards=EMPLOYEE)
def show_consent(request: Request[Any, Any, Any], draft: FromQuery[str] = "") -> Response[Any]:
    """The first question."""
    asking = _asking(request)
    return _page(request, asking, asking.pages[0], asking.opened(draft))


@get("/visit/consent/{name:str}", sync_to_thread=True, guards=EMPLOYEE)
def show_question(request: Request[Any, Any, Any], name: FromPath[str], draft: FromQuery[str] = "") -> Response[Any]:
    """Raises `QuestionUnknown`. Who has left out a question comes to it before they can sign."""
    asking = _asking(request)
    begun = asking.opened(draft)
    left_out = [purpose for purpose in asking.purposes if purpose not in begun.answers]
    if name == SIGN and left_out:
        return back(request, asking.address(left_out[0].value, begun))
    return _page(request, asking, name, begun)


@post("/visit/consent/{name:str}", sync_to_thread=True, guards=EMPLOYEE)
def answer_question(request: Request[Any, Any, Any], name: FromPath[str], data: Form) -> Response[Any]:
    """On to the next page, or to the one that was asked for, with what was answered and typed; to the same one, where
    another language was. Raises `QuestionUnknown` and `LanguageUnknown`."""
    if "language" in data:
        choose(request, data["language"])
    asking = _asking(request)
    begun, going_back = asking.opened(data.get("draft", "")), name if "language" in data else data.get("to", "")
    if name == SIGN:
        begun = Draft(begun.answers, data.get("typed_name", ""), data.get("named_otherwise") == "yes")
    elif data.get("answer") in ("yes", "no"):
        answers = {purpose: begun.answers[purpose] for purpose in asking.purposes if purpose in begun.answers}
        begun = Draft(
            answers | {_purpose(asking, name): data["answer"] == "yes"}, begun.typed_name, begun.named_otherwise
        )
    elif not going_back:
        return _page(request, asking, name, begun, problem=NotAnswered("Say yes or no; both are an answer."))
    if going_back in (WELCOME, *asking.pages):
        return back(request, asking.address(going_back, begun))
    after = asking.pages[_place(asking, name) + 1 :]
    return back(request, asking.address(after[0] if after else SIGN, begun))


def _page(
    request: Request[Any, Any, Any],
    asking: Asking,
    name: str,
    draft: Draft,
    *,
    problem: LikenessError | None = None,
    note: LikenessError | None = None,
) -> Response[Any]:
    if problem is None and asking.deleted_first:
        return back(request, "/visit/declined")
    place = _place(asking, name)
    context = asking.around | {
        "purposes": asking.purposes,
        "purpose": None if name == SIGN else _purpose(asking, name),
        "place": place + 1,
        "pages": len(asking.pages),
        "before": asking.pages[place - 1] if place else WELCOME,
        "ways": [purpose for purpose in asking.purposes if purpose != Purpose.BIOMETRIC],
        "begun": draft,
        "sealed": asking.sealed(draft),
        "carried": _kept(asking, draft),
        "here": f"/visit/consent/{name}",
        "problem": problem,
        "note": note,
    }
    return show(request, "visit/consent.html", asking.me, 1, context, status=problem.status if problem else 200)


def _kept(asking: Asking, draft: Draft) -> str:
    """The end of an address that keeps the draft, once there is something in it."""
    return "" if draft == Draft() else f"?draft={asking.sealed(draft)}"


def _place(asking: Asking, name: str) -> int:
    if name not in asking.pages:
        raise QuestionUnknown
    return asking.pages.index(name)


def _purpose(asking: Asking, name: str) -> Purpose:
    _place(asking, name)
    return Purpose(name)


@post("/visit/consent", sync_to_thread=True, guards=EMPLOYEE)
def give_consent(request: Request[Any, Any, Any], data: Form) -> Response[Any]:
    """Each question counts by itself; photos are taken once a way and what goes with it are agreed to."""
    kernel, caller = kernel_of(request), signed_in(request)
    purposes = [purpose for purpose in Purpose if data.get(purpose.value) == "yes"]
    try:
        notice_id = UUID(data.get("notice_id", ""))
    except ValueError:
        notice_id = UUID(int=0)
    try:
        with kernel.db.transaction(caller.tenant) as session:
            employees.speaking(session, caller)
            consents.give(
                session, kernel.keys, caller.id, purposes, notice_id, data.get("typed_name", ""), utc_now(),
                named_otherwise=data.get("named_otherwise") == "yes",
            )  # fmt: skip
            complete = consents.is_current(session, caller.id)
    except Unauthorized:
        raise
    except LikenessError as problem:
        return _sign_again(request, data, problem=problem)
    if not complete:
        return _sign_again(request, data, note=HalfAnswer(
            N_("Your answer is recorded. Headshots need one way of making them and the face measurements that go with"
               " it.")
        ))  # fmt: skip
    return Redirect("/visit/photos", status_code=303)


def _sign_again(request: Request[Any, Any, Any], data: dict[str, str], **said: LikenessError) -> Response[Any]:
    """The last page once more: an answer that is not complete loses nothing of what was typed."""
    asking = _asking(request)
    return _page(request, asking, SIGN, posted(list(asking.purposes), data), **said)


routes: list[Any] = [show_welcome, show_consent, show_question, answer_question, give_consent]
