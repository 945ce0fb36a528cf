"""An employee's part of the demo, over HTTP: the mailed link, consent, selfies, choosing, and leaving."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path
from uuid import UUID

from sqlmodel import Session, col, select

from batch.models import Headshot, Sitting
from batch.people import employees
from batch.sittings.runs import Run
from likeness.demo.cast import Player
from likeness.demo.desk import Browser, DemoCompany, DemoFailed
from likeness.kernel import Kernel
from likeness.mail import mail
from tenants.models import CUTOUT

CHOSEN = 3
"""Headshots that each person releases."""
MORE_PHOTOS = 4
"""So many others a person hands in for those that are not taken."""
MAIL_SECONDS = 60
RENEWAL_SECONDS = 150
CHECK_SECONDS = 180
ENDED = {"done", "failed", "cancelled"}


class Visitor:
    """One employee with a browser. Every step looks first at what is done already, so a second start continues."""

    def __init__(self, kernel: Kernel, company: DemoCompany, player: Player) -> None:
        self.kernel, self.company, self.player = kernel, company, player
        self.browser = Browser(kernel)
        self.state, self.progress = "invited", 0.0
        self.failure = ""
        self.submitted = self.accepted = self.unchecked = 0
        self.made = 0
        self.ratios: list[float] = []
        self.recipe = player.recipe
        self.run_seconds: dict[str, float] = {}
        self.employee: UUID | None = self._employee()

    def already_left(self) -> bool:
        """Whether the person was erased in an earlier demo over the same data."""
        return self.employee is None

    def send_photos(self) -> None:
        """From the mail to the last photo."""
        self._open_link()
        visit = self.browser.call("GET", "/visit").json()
        if not visit["consented"]:
            notice = self.browser.call("GET", "/visit/notice").json()
            answer = {"purposes": list(notice["purposes"]), "notice_id": notice["id"], "typed_name": self.player.name}
            self.browser.call("POST", "/visit/consent", json=answer)
        self.state = "consented"
        if self.browser.call("GET", "/visit/sitting").json()["state"] != "none":
            self._count_photos()
            return
        self._send_photos()
        self.state = "photos sent"

    def hand_in(self) -> None:
        if self.state == "photos sent":
            self.browser.call("POST", f"/visit/sitting?recipe={self.recipe}")
            self.state = "queued"

    def content_with_less(self) -> bool:
        """Whose model failed asks for a portrait of their own photo, as the page offers; so nobody is left with nothing."""
        if self.state != "failed" or self.recipe == CUTOUT:
            return False
        self.recipe, self.state = CUTOUT, "photos sent"
        self.hand_in()
        return True

    def look(self) -> bool:
        """Updates state and progress from the sitting's row; True when it has ended."""
        if self.employee is None:
            self.state = "erased earlier"
            return True
        with self.kernel.db.transaction(self.company.tenant) as session:
            sitting, run = self._newest(session)
            if sitting is None:
                raise DemoFailed(f"{self.player.key} has no sitting")
            self.state = sitting.state
            if run is not None and sitting.state == "training":
                self.progress = 0.8 * run.step / max(run.steps, 1)
            elif run is not None and sitting.state == "rendering":
                self.progress = 0.8 + 0.2 * min(1.0, run.made / max(int(run.recipe.get("pictures", 6)), 1))
            elif sitting.state in ENDED:
                self.progress = 1.0
                self.run_seconds = dict(run.seconds) if run else {}
                shots = select(Headshot.likeness_ratio).where(
                    col(Headshot.tenant_id) == self.company.tenant, col(Headshot.sitting_id) == sitting.id
                )
                ratios = list(session.exec(shots))
                self.made = len(ratios)
                self.ratios = [ratio for ratio in ratios if ratio is not None]
                self.failure = sitting.failure or ""
        return sitting.state in ENDED

    def choose_and_release(self) -> None:
        """Releases the likest few, as somebody who is content would."""
        if self.employee is None:
            return
        ids = [shot["id"] for shot in self.browser.call("GET", "/visit/headshots").json()][:CHOSEN]
        if ids:
            self.browser.call("POST", "/visit/release", json={"headshot_ids": ids})
            self.state = "released"

    def photos_shown(self) -> list[bytes]:
        if self.employee is None:
            return []
        kept = [p for p in self.browser.call("GET", "/visit/photos").json()["photos"] if p["state"] == "accepted"]
        return [self.browser.call("GET", f"/visit/photos/{photo['id']}/picture").content for photo in kept]

    def headshots_shown(self) -> list[bytes]:
        if self.employee is None:
            return []
        shots = self.browser.call("GET", "/visit/headshots").json()
        return [self.browser.call("GET", f"/visit/headshots/{shot['id']}/picture").content for shot in shots]

    def _open_link(self) -> None:
        """Opens the newest mailed link; one that was used asks for a fresh one, as the page offers."""
        token, since = self._mailed_token(0), 0
        if self.browser.call("GET", f"/links/{token}").json()["state"] != "open":
            since, deadline = self._mails(), time.monotonic() + RENEWAL_SECONDS
            # Nobody gets two links within two minutes, so whoever starts again at once asks more than once.
            while self._mails() <= since and time.monotonic() < deadline:
                self.browser.call("POST", f"/links/{token}/renew")
                time.sleep(3)
            token = self._mailed_token(since)
        self.browser.call("POST", f"/links/{token}")
        self.state = "opened"

    def _mailed_token(self, since: int) -> str:
        """The token of the newest mail in the person's mailbox, once there are more than `since`."""
        deadline = time.monotonic() + MAIL_SECONDS
        while time.monotonic() < deadline:
            letters = self._letters()
            for letter in letters if len(letters) > since else []:
                found = re.search(r"/i/(\S+)", letter.text)
                if found:
                    return found.group(1)
            time.sleep(0.3)
        raise DemoFailed(f"no invitation reached {self.player.key} within {MAIL_SECONDS} seconds")

    def _mails(self) -> int:
        return len(self._letters())

    def _letters(self) -> list[mail.Letter]:
        """Newest first."""
        with self.kernel.db.transaction(self.company.tenant) as session:
            mails = [m for m in mail.mailbox(session) if m.owner_id == self.employee]
        return [letter for m in mails if (letter := mail.read(self.kernel.keys, m))]

    def _send_photos(self) -> None:
        """Hands in the photos, others for those that are not taken, and insists on those that are only advised against,
        as a person would."""
        self.state, number, wanted = "uploading", 0, self.player.sends
        most = wanted if self.player.photographs else wanted + MORE_PHOTOS
        while number < most:
            while number < most and (number < wanted or self.accepted + self.unchecked < wanted):
                self.browser.call("POST", "/visit/photos", files={"photo": ("selfie.jpg", self.player.photo(number))})
                number += 1
                self._count_photos()
            self._wait_for_checks()
            self._insist()
            if self.accepted >= wanted:
                return
        if self.accepted < (1 if self.recipe == CUTOUT else 6):
            raise DemoFailed(f"Too few photos of {self.player.name} can be used.\n{self._verdicts()}")

    def _insist(self) -> None:
        for photo in self.browser.call("GET", "/visit/photos").json()["photos"]:
            if photo["state"] == "advised":
                self.browser.call("POST", f"/visit/photos/{photo['id']}/use-anyway")
        self._count_photos()

    def _verdicts(self) -> str:
        lines = []
        for number, photo in enumerate(self.browser.call("GET", "/visit/photos").json()["photos"], start=1):
            said = " ".join(f"{one['message']} {one['action']}." for one in photo["findings"])
            lines.append(f"  photo {number}: {photo['state']}. {said}")
        return "\n".join(lines)

    def _wait_for_checks(self) -> None:
        deadline = time.monotonic() + CHECK_SECONDS
        while self.unchecked:
            if time.monotonic() > deadline:
                raise DemoFailed(f"the photos of {self.player.key} were not checked within {CHECK_SECONDS} seconds")
            time.sleep(0.3)
            self._count_photos()
        self._count_photos()

    def _count_photos(self) -> None:
        photos = self.browser.call("GET", "/visit/photos").json()["photos"]
        self.submitted = len(photos)
        self.accepted = sum(photo["state"] == "accepted" for photo in photos)
        self.unchecked = sum(photo["state"] == "checking" for photo in photos)
        self.progress = min(1.0, self.accepted / self.player.sends)

    def _employee(self) -> UUID | None:
        """Looked for in every batch: a workbook that was written anew makes a new one, and its people are in the old."""
        for batch in self.company.hr.call("GET", "/batches").json():
            for line in self.company.hr.call("GET", f"/batches/{batch['id']}/people").json():
                if line["employee_key"] == self.player.key:
                    return self._behind(UUID(line["id"]))
        return None

    def _behind(self, roster_id: UUID) -> UUID:
        """Whose line of the list that is."""
        with self.kernel.db.transaction(self.company.tenant) as session:
            return employees.on_roster(session, roster_id).id

    def _newest(self, session: Session) -> tuple[Sitting | None, Run | None]:
        mine = (self.company.tenant, self.employee)
        sitting = session.exec(
            select(Sitting)
            .where(col(Sitting.tenant_id) == mine[0], col(Sitting.employee_id) == mine[1])
            .order_by(col(Sitting.created_at).desc())
        ).first()
        run = session.exec(
            select(Run)
            .where(col(Run.tenant_id) == mine[0], col(Run.employee_id) == mine[1])
            .order_by(col(Run.started_at).desc())
        ).first()
        return sitting, run


def erase(visitor: Visitor, folder: Path) -> Path:
    """The person asks for everything to be deleted; returns the file of the certificate they get."""
    path, receipt = folder / "certificate.jws", folder / "receipt.json"
    if visitor.employee is not None:
        answer = visitor.browser.call("POST", "/visit/erasure").json()
        receipt.write_text(json.dumps(answer))
    token = json.loads(receipt.read_text())["receipt"]
    deadline = time.monotonic() + CHECK_SECONDS
    anybody = Browser(visitor.kernel)
    while time.monotonic() < deadline:
        state = anybody.call("GET", f"/receipts/{token}").json()
        if state.get("certificate"):
            path.write_text(state["certificate"])
            keys = anybody.http.get("/.well-known/likeness-certificates.jwks.json").json()
            (folder / "certificate-key.json").write_text(json.dumps(keys))
            visitor.state = "erased"
            return path
        time.sleep(0.5)
    raise DemoFailed("no certificate was issued in time; see likeness.log")
