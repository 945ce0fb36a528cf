"""Mails that come back hours later: what their reports say, and a real IMAP server that they are read from."""

from __future__ import annotations

import getpass
import grp
import os
import pwd
import shutil
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from uuid import UUID, uuid4

import pytest
from sqlalchemy import text

from batch.visit import mailing
from likeness.ground.db import PLATFORM, utc_now
from likeness.kernel import Kernel
from likeness.mail import bounces, imap
from likeness.mail.bounces import Bounce
from likeness.mail.smtp import MailOutcome
from tests.factories import make_tenant, run_jobs
from tests.kernel import reports
from tests.kernel.scripted import scripted
from tests.kernel.test_smtp import row, through, write
from tests.ports import free_port
from tests.waiting import answers, until

ADDRESS = "bounces@example.com"


def report(shape: str, mail_id: UUID, to: str = "") -> bytes:
    to = to or bounces.envelope_of(ADDRESS, mail_id)
    return shape.replace("{to}", to).replace("{mail}", str(mail_id)).encode()


@pytest.mark.parametrize(
    ("shape", "outcome", "code"),
    [
        (reports.POSTFIX, MailOutcome.NO_MAILBOX, "550 5.1.1"),
        (reports.POSTFIX_DELAYED, None, ""),
        (reports.EXIM, MailOutcome.FULL, "552 5.2.2"),
        (reports.EXCHANGE, MailOutcome.NO_MAILBOX, "550 5.1.10"),
        (reports.GMAIL, MailOutcome.RETURNED, "550 5.7.1"),
        (reports.SES, MailOutcome.NO_MAILBOX, "550 5.1.1"),
        (reports.OLD, MailOutcome.NO_MAILBOX, "550 5.1.1"),
    ],
)
def test_a_report_says_which_mail_came_back_and_why(shape: str, outcome: MailOutcome | None, code: str) -> None:
    mail_id = uuid4()
    assert bounces.read(report(shape, mail_id), ADDRESS) == Bounce(mail_id, outcome, code)


def test_where_the_token_was_lost_the_quoted_mail_says_which_one_it_is() -> None:
    mail_id = uuid4()
    for shape in (reports.POSTFIX, reports.EXIM, reports.EXCHANGE):
        found = bounces.read(report(shape, mail_id, ADDRESS), ADDRESS)
        assert found is not None
        assert found.mail_id == mail_id
    assert bounces.read(report(reports.SES, mail_id, ADDRESS), ADDRESS) is None


def test_what_is_no_report_about_a_mail_of_ours_is_none() -> None:
    """An answer of somebody who is away, another domain's token, and what somebody wrote to break the reader."""
    mail_id = uuid4()
    other = bounces.envelope_of("bounces@other.example", mail_id)
    nested = "".join(f"Content-Type: multipart/mixed; boundary=b{n}\n\n--b{n}\n" for n in range(9000))
    for data in (
        report(reports.AWAY, mail_id),
        report(reports.SES, mail_id, other),
        report(reports.SES, mail_id, f"x{bounces.envelope_of(ADDRESS, mail_id)}.evil.example"),
        b"", b"\0\xff" * 1000, b"To: =?x?b?" + b"=" * 5000,
        nested.encode(),
        b"Content-Type: multipart/report; boundary=x\n\n" + b"--x\n\n" * 60_000,
        b"To: " + b"bounces+" * 30_000 + b"\n\n",
        b"Content-Type: multipart/report; charset=\xff; boundary=\"\xff\"\n\n--\xff\n",
    ):  # fmt: skip
        # Half a second by itself; a reader that went back for every part would take hours.
        begun = time.process_time()
        assert bounces.read(data, ADDRESS) is None
        assert time.process_time() - begun < 20
    hostile = report(reports.SES, mail_id).replace(b"550 5.1.1 user", b"<b>999 5.9999.1</b>").replace(b"5.1.1", b"\xff")
    assert bounces.read(hostile, ADDRESS) == Bounce(mail_id, MailOutcome.RETURNED, "")


# A real server


@dataclass(frozen=True)
class Dovecot:
    url: str
    maildir: Path

    def deliver(self, data: bytes) -> None:
        name = f"{time.time_ns()}.{uuid4().hex}.here"
        (self.maildir / "tmp" / name).write_bytes(data)
        (self.maildir / "tmp" / name).rename(self.maildir / "new" / name)

    def left(self) -> list[str]:
        return [path.name for part in ("new", "cur") for path in (self.maildir / part).iterdir()]


@pytest.fixture(scope="module")
def dovecot() -> Iterator[Dovecot]:
    program = shutil.which("dovecot", path=f"{os.environ['PATH']}:/usr/sbin")
    if program is None:
        pytest.skip("dovecot-imapd is not installed")
    # It serves nobody's mail as root, so there it runs as somebody who owns nothing else, in a folder that they may enter.
    me = pwd.getpwnam("nobody" if os.getuid() == 0 else getpass.getuser())
    held = TemporaryDirectory(prefix="likeness-dovecot-")
    home = Path(held.name)
    maildir = home / "mail"
    for part in ("tmp", "new", "cur"):
        (maildir / part).mkdir(parents=True)
    if os.getuid() == 0:
        for path in (home, *home.rglob("*")):
            os.chown(path, me.pw_uid, me.pw_gid)
    port = free_port()
    (home / "users").write_text(f"reader:{{PLAIN}}p ss:{me.pw_uid}:{me.pw_gid}::{home}\n")
    group = grp.getgrgid(me.pw_gid).gr_name
    own = "".join(f"service {name} {{\n  chroot =\n}}\n" for name in ("imap-login", "anvil", "stats"))
    (home / "dovecot.conf").write_text(f"""
base_dir = {home}/run
state_dir = {home}/run
log_path = {home}/log
protocols = imap
listen = 127.0.0.1
ssl = no
disable_plaintext_auth = no
first_valid_uid = 0
auth_failure_delay = 0
default_internal_user = {me.pw_name}
default_internal_group = {group}
default_login_user = {me.pw_name}
{own}
mail_location = maildir:{maildir}
passdb {{
  driver = passwd-file
  args = {home}/users
}}
userdb {{
  driver = passwd-file
  args = {home}/users
}}
service imap-login {{
  inet_listener imap {{
    port = {port}
  }}
  inet_listener imaps {{
    port = 0
  }}
}}
""")
    command = [program, "-F", "-c", str(home / "dovecot.conf")]
    other: dict[str, Any] = {"user": me.pw_uid, "group": me.pw_gid, "extra_groups": []} if os.getuid() == 0 else {}
    with held, subprocess.Popen(command, **other) as running:
        until(lambda: running.poll() is not None or answers(port))
        yield Dovecot(f"imap://reader:p%20ss@127.0.0.1:{port}/INBOX", maildir)
        running.terminate()


def test_what_comes_back_to_the_mailbox_is_on_the_mails_row_within_the_minute_and_kept_nowhere(
    kernel: Kernel, dovecot: Dovecot, caplog: pytest.LogCaptureFixture
) -> None:
    alice, bob = make_tenant(kernel), make_tenant(kernel)
    sent = {}
    with scripted() as server:
        sending = through(kernel, server, bounces_address=ADDRESS, bounces_imap=dovecot.url)
        for tenant in (alice, bob, PLATFORM):
            sent[tenant] = write(sending, tenant)
            run_jobs(sending, tenant=tenant)
    token = bounces.envelope_of(ADDRESS, sent[alice])
    assert f"MAIL FROM:<{token}>" in server.lines
    assert str(sent[alice].hex) not in token
    dovecot.deliver(report(reports.EXIM, sent[alice]))
    dovecot.deliver(report(reports.POSTFIX_DELAYED, sent[bob]))
    dovecot.deliver(report(reports.POSTFIX, sent[PLATFORM]))
    dovecot.deliver(report(reports.POSTFIX, uuid4()))
    dovecot.deliver(report(reports.AWAY, sent[bob]))
    mailing.collect_bounces(sending, utc_now())
    assert len(dovecot.left()) == 1, "only what a person has to read is left"
    kept = row(kernel, alice)
    assert (kept.outcome, kept.code, kept.sent_at, kept.sealed) == ("full", "552 5.2.2", None, None)
    assert kept.failed_at
    assert row(kernel, bob).sent_at, "another server is still trying"
    with kernel.db.transaction(PLATFORM) as session:
        outcome = text("select outcome from mail where id = :id")
        assert session.execute(outcome, {"id": sent[PLATFORM]}).scalar() == "no mailbox"
    first = kept.failed_at
    dovecot.deliver(report(reports.EXIM, sent[alice]))
    mailing.collect_bounces(sending, utc_now())
    assert row(kernel, alice).failed_at == first, "a second report changes nothing"
    assert len(dovecot.left()) == 1
    assert not any("zebra" in one.getMessage() for one in caplog.records)


def test_a_mailbox_that_is_away_says_so_without_its_password(
    kernel: Kernel, dovecot: Dovecot, caplog: pytest.LogCaptureFixture
) -> None:
    wrong = dovecot.url.replace("p%20ss", "qwertz")
    for url, said in ((wrong, "does not let us in"), ("imap://x:qwertz@127.0.0.1:9", "does not answer"),
                      (dovecot.url + "/none", "no such folder")):  # fmt: skip
        with pytest.raises(imap.MailboxAway, match=said), imap.opened(url, timeout=5):
            pass
    nowhere = {"bounces_address": ADDRESS, "bounces_imap": "imap://x:qwertz@127.0.0.1:9"}
    settings = kernel.settings.model_copy(update=nowhere)
    mailing.collect_bounces(replace(kernel, settings=settings), utc_now())
    assert "cannot be read" in caplog.text
    assert "qwertz" not in caplog.text
