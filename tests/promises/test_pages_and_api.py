"""What a page does or shows a program can do and read too, and the other way round: every route stands here, or says why
not."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from litestar.routes import HTTPRoute

from likeness.kernel import Kernel
from likeness.run.app import create_app

READS = {"GET", "HEAD", "OPTIONS"}
SAME = {
    "/a/{token}/{answer}": "POST /address-changes/{token}",
    "/desk/batches": "POST /batches",
    "/desk/batches/{batch_id}/change": "PATCH /batches/{batch_id}",
    "/desk/batches/{batch_id}/commit": "POST /batches/{batch_id}/commit",
    "/desk/batches/{batch_id}/delete": "POST /batches/{batch_id}/erasure",
    "/desk/batches/{batch_id}/discard": "DELETE /batches/{batch_id}/workbook",
    "/desk/batches/{batch_id}/note": "PATCH /batches/{batch_id}",
    "/desk/batches/{batch_id}/invite": "POST /batches/{batch_id}/invite",
    "/desk/batches/{batch_id}/pilot": "POST /batches/{batch_id}/pilot",
    "/desk/batches/{batch_id}/people/{person_id}/copies": "POST /employees/{person_id}/copies-deleted",
    "/desk/batches/{batch_id}/people/{person_id}/invite": "POST /employees/{person_id}/invite",
    "/desk/batches/{batch_id}/people/{person_id}/remind": "POST /employees/{person_id}/resend",
    "/desk/batches/{batch_id}/revoke": "POST /batches/{batch_id}/revoke",
    "/desk/batches/{batch_id}/undo": "POST /batches/{batch_id}/undo",
    "/desk/batches/{batch_id}/workbook": "POST /batches/{batch_id}/workbook",
    "/desk/headshots/disclosure": "POST /headshots/disclosure/acceptance",
    "/desk/looks": "POST /looks",
    "/desk/headshots/approval": "POST /headshots/approval",
    "/desk/headshots/{headshot_id}/another": "POST /headshots/{headshot_id}/another",
    "/desk/looks/crops": "PATCH /tenant",
    "/desk/packs": "POST /packs",
    "/desk/packs/{pack_id}": "PUT /packs/{pack_id}",
    "/desk/packs/{pack_id}/departments": "PUT /packs/{pack_id}/departments",
    "/desk/packs/{pack_id}/remove": "DELETE /packs/{pack_id}",
    "/settings/approval": "PATCH /tenant/approval",
    "/desk/looks/ways": "PATCH /tenant",
    "/desk/looks/{look_id}/departments": "PUT /looks/{look_id}/departments",
    "/desk/looks/{look_id}/retire": "DELETE /looks/{look_id}",
    "/desk/people/delete": "POST /people/{person_id}/erasure",
    "/desk/people/invite": "POST /employees/{person_id}/invite",
    "/desk/people/remind": "POST /employees/{person_id}/resend",
    "/desk/people/revoke": "POST /employees/{person_id}/revoke",
    "/desk/people/views": "PUT /views",
    "/desk/people/views/forget": "DELETE /views",
    "/desk/people/{person_id}/correct": "PATCH /employees/{person_id}",
    "/desk/people/{person_id}/delete": "POST /people/{person_id}/erasure",
    "/desk/people/{person_id}/wave": "POST /people/{person_id}/photos/wave-through",
    "/i/{token}": "POST /links/{token}",
    "/i/{token}/renew": "POST /links/{token}/renew",
    "/legal/erasures/{erasure_id}/excuse": "POST /erasures/{erasure_id}/recipients",
    "/legal/erasures/{erasure_id}/inform": "POST /erasures/{erasure_id}/recipients",
    "/legal/holds": "POST /holds",
    "/legal/holds/{hold_id}/confirm": "POST /holds/{hold_id}/confirm",
    "/legal/holds/{hold_id}/lift": "DELETE /holds/{hold_id}",
    "/legal/people": "POST /people/search",
    "/legal/requests": "POST /requests",
    "/legal/requests/{request_id}/verify": "POST /requests/{request_id}/verify",
    "/legal/requests/{request_id}/extend": "POST /requests/{request_id}/extend",
    "/legal/requests/{request_id}/approve": "POST /requests/{request_id}/approve",
    "/legal/requests/{request_id}/carry-out": "POST /requests/{request_id}/carry-out",
    "/legal/requests/{request_id}/inform": "POST /requests/{request_id}/recipients",
    "/legal/requests/{request_id}/excuse": "POST /requests/{request_id}/recipients",
    "/legal/requests/{request_id}/confirm": "POST /requests/{request_id}/confirm-receipt",
    "/legal/requests/{request_id}/answer": "POST /requests/{request_id}/answer",
    "/legal/requests/{request_id}/refuse": "POST /requests/{request_id}/refuse",
    "/operations/companies/{tenant_id}/change": "PATCH /tenants/{tenant_id}",
    "/operations/companies/{tenant_id}/close": "POST /tenants/{tenant_id}/close",
    "/operations/companies/{tenant_id}/credits": "POST /tenants/{tenant_id}/credits",
    "/operations/companies/{tenant_id}/keep": "POST /tenants/{tenant_id}/keep",
    "/operations/companies/{tenant_id}/link": "POST /tenants/{tenant_id}/link",
    "/operations/companies/{tenant_id}/resume": "POST /tenants/{tenant_id}/resume",
    "/operations/companies/{tenant_id}/sign-in": "POST /tenants/{tenant_id}/sign-in",
    "/operations/companies/{tenant_id}/sign-in/change": "PUT /tenants/{tenant_id}/sign-in",
    "/operations/companies/{tenant_id}/suspend": "POST /tenants/{tenant_id}/suspend",
    "/operations/jobs/{job_id}/again": "POST /jobs/{job_id}/again",
    "/operations/operators/{member_id}/disable": "DELETE /operators/{member_id}",
    "/operations/tenants": "POST /tenants",
    "/questions/{concern_id}": "POST /concerns/{concern_id}/answer",
    "/settings": "PATCH /tenant",
    "/settings/logo": "PUT /tenant/logo",
    "/settings/logo/remove": "DELETE /tenant/logo",
    "/settings/leaving": "POST /leaving",
    "/settings/provider": "PUT /tenant/sign-in/provider",
    "/settings/sender": "PUT /tenant/sender",
    "/settings/sender/use": "POST /tenant/sender/use",
    "/settings/sender/remove": "DELETE /tenant/sender",
    "/settings/leaving/call-off": "POST /leaving/call-off",
    "/sign-in": "POST /sign-in",
    "/sign-in/{token}": "POST /sign-in/{token}",
    "/sign-out": "POST /sign-out",
    "/team": "POST /members",
    "/team/directory": "PATCH /tenant/directory",
    "/team/keys": "POST /keys",
    "/team/keys/{key_id}/revoke": "DELETE /keys/{key_id}",
    "/team/webhooks": "POST /webhooks",
    "/team/webhooks/{endpoint_id}/again": "POST /webhooks/{endpoint_id}/again",
    "/team/webhooks/{endpoint_id}/remove": "DELETE /webhooks/{endpoint_id}",
    "/team/webhooks/{endpoint_id}/secret": "POST /webhooks/{endpoint_id}/secret",
    "/team/webhooks/{endpoint_id}/test": "POST /webhooks/{endpoint_id}/test",
    "/team/webhooks/{endpoint_id}/{delivery_id}/again": "POST /webhooks/{endpoint_id}/deliveries/{delivery_id}/again",
    "/team/{member_id}/again": "POST /members/{member_id}/link",
    "/team/{member_id}/departments": "PUT /members/{member_id}/departments",
    "/team/{member_id}/disable": "DELETE /members/{member_id}",
    "/team/{member_id}/let-back": "POST /members/{member_id}/let-back",
    "/team/{member_id}/roles": "PATCH /members/{member_id}",
    "/team/keep/{role}": "PATCH /members/{member_id}",
    "/visit/address/{answer}": "POST /visit/address",
    "/visit/consent": "POST /visit/consent",
    "/visit/decline": "POST /visit/decline",
    "/visit/edit/drop": "DELETE /visit/edit",
    "/visit/edit/keep": "POST /visit/edit/keep",
    "/visit/erasure": "POST /visit/erasure",
    "/visit/hand-over": "POST /visit/release",
    "/visit/headshots/{headshot_id}/edit": "POST /visit/headshots/{headshot_id}/edit",
    "/visit/headshots/{headshot_id}/{act}": "POST /visit/headshots/{headshot_id}/favourite",
    "/visit/language": "PUT /visit/language",
    "/visit/photos": "POST /visit/photos",
    "/visit/photos/who": "POST /visit/photos/who",
    "/visit/photos/{photo_id}/face": "POST /visit/photos/{photo_id}/face",
    "/visit/photos/{photo_id}/remove": "DELETE /visit/photos/{photo_id}",
    "/visit/photos/{photo_id}/use-anyway": "POST /visit/photos/{photo_id}/use-anyway",
    "/visit/processing/resume": "POST /visit/processing/resume",
    "/visit/requests": "POST /visit/requests",
    "/visit/reshoot": "POST /visit/reshoot",
    "/visit/sitting": "POST /visit/sitting",
    "/visit/take-back": "DELETE /visit/release/{headshot_id}",
    "/visit/withdraw": "POST /visit/withdraw",
    "/visit/withdraw/{purpose}": "DELETE /visit/consent/{purpose}",
    "/visit/wrong": "POST /visit/concerns",
}
"""Of a page's route, which does the same under `/api/v1`."""
PAGES_ALONE = {
    "/desk/people/preview-deletion": "counts of several people what GET /people/{person_id}/erasure counts of one",
    "/desk/batches/{batch_id}/take-back": "what a program asks for begins at once, so there is nothing to take back",
    "/desk/people/undo": "what a program asks for begins at once, so there is nothing to take back",
    "/account/language": "in which language pages are read to whoever is signed in; programs are answered in English",
    "/account/leave": "whoever gives up an account does it signed in at a page",
    "/account/sessions/{session_id}/end": "about the sessions of browsers, which a program has none of",
    "/account/sign-out-everywhere": "about the sessions of browsers, which a program has none of",
    "/visit/consent/{name}": "one question of the page; a program answers all of them at once",
    "/visit/photos/{photo_id}/keep": "what a program asks for begins at once, so there is nothing to take back",
    "/operations/operators/{member_id}/let-back": "the first of two operators asks on the page",
    "/operations/operators/returns/{question_id}/confirm": "the second of two operators reads the question on the page",
    "/operations/break-glass/{question_id}/confirm": "the second of two operators reads the question on the page",
    "/p/{token}": "the second screen of a person takes over from the first one",
    "/visit/phone": "the second screen of a person takes over from the first one",
    "/sso/disconnect": "about an account with which a browser signs in, which a program has none of",
    "/sso/again": "a step of the browser's own way to the company's provider",
    "/sso/logout": "the provider calls it",
}
PROGRAMS_ALONE = {
    "POST /looks/{look_id}/departments/preview": "the page shows it before its button saves",
    "POST /packs/{pack_id}/departments/preview": "the same for the looks of a pack",
    "POST /looks/backdrops": "the page hands in a picture together with the look that it is for",
    "POST /batches/{batch_id}/preview": "the page of a batch's file shows it by itself",
    "POST /batches/{batch_id}/problems": "the page offers it as a file to save",
    "POST /batches/{batch_id}/changes": "the page offers it as a file to save",
    "POST /looks/{look_id}/revise": "the page adds a look of the same name and retires the one before",
    "POST /people/{person_id}/requests": "HR enters it on the page of requests",
    "POST /requests/{request_id}/approve": "one of the acts of the page of a request",
    "POST /requests/{request_id}/carry-out": "one of the acts of the page of a request",
    "POST /requests/{request_id}/confirm-receipt": "one of the acts of the page of a request",
    "POST /requests/{request_id}/extend": "one of the acts of the page of a request",
    "POST /requests/{request_id}/recipients": "one of the acts of the page of a request",
    "POST /requests/{request_id}/refuse": "one of the acts of the page of a request",
    "POST /requests/{request_id}/verify": "one of the acts of the page of a request",
    "POST /visit/release/{headshot_id}/keep": "one of the acts of the page of a headshot",
    "DELETE /visit/headshots/{headshot_id}/favourite": "one of the acts of the page of a headshot",
    "POST /visit/headshots/{headshot_id}/not-me": "one of the acts of the page of a headshot",
    "DELETE /visit/headshots/{headshot_id}/not-me": "one of the acts of the page of a headshot",
    "POST /visit/uploads": "the page's script sends photos in parts by it",
    "PATCH /visit/uploads/{upload_id}": "the page's script sends photos in parts by it",
    "DELETE /visit/uploads/{upload_id}": "the page's script sends photos in parts by it",
}
SHOWN = {
    "/a/{token}": ["/address-changes/{token}", "/receipts/{token}"],
    "/desk": [
        "/forecast", "/batches", "/batches/{batch_id}/funnel", "/batches/{batch_id}/attention", "/credits", "/concerns",
    ],
    "/desk/batches": ["/batches", "/batches/{batch_id}/funnel", "/batches/{batch_id}/attention", "/credits"],
    "/desk/batches/{batch_id}": [
        "/forecast",
        "/batches/{batch_id}", "/batches/{batch_id}/funnel", "/batches/{batch_id}/attention", "/batches/{batch_id}/people",
        "/batches/{batch_id}/pilot",
    ],
    "/desk/batches/{batch_id}/pilot": ["/batches/{batch_id}/pilot", "/batches/{batch_id}/people"],
    "/desk/batches/{batch_id}/bad-rows": ["/batches/{batch_id}/problems"],
    "/desk/batches/{batch_id}/changes": ["/batches/{batch_id}/changes"],
    "/desk/batches/{batch_id}/delete": ["/batches/{batch_id}/erasure"],
    "/desk/batches/{batch_id}/headshots": ["/headshots", "/batches/{batch_id}/headshots", "/downloads"],
    "/desk/batches/{batch_id}/preview": ["POST /batches/{batch_id}/preview"],
    "/desk/batches/{batch_id}/status": ["/batches/{batch_id}/status"],
    "/desk/credits": ["/credits", "/credits/days", "/credits/batches", "/credits/people", "/credits/export"],
    "/desk/headshots": ["/headshots", "/batches/{batch_id}/headshots/{headshot_id}/picture", "/downloads"],
    "/desk/headshots/approval": ["/headshots/approval"],
    "/desk/headshots/archive": ["/headshots/archive", "/batches/{batch_id}/archive"],
    "/desk/headshots/disclosure": ["/headshots/disclosure", "/headshots/disclosure/kit"],
    "/desk/packs/{pack_id}/departments": ["/packs", "/looks/departments", "POST /packs/{pack_id}/departments/preview"],
    "/desk/looks": ["/looks", "/packs", "/looks/backdrops/{backdrop_id}", "/tenant"],
    "/desk/looks/{look_id}/departments": ["/looks", "/looks/departments", "POST /looks/{look_id}/departments/preview"],
    "/desk/people": ["/employees", "/employees/groups", "/views"],
    "/desk/people/{person_id}": [
        "/employees/{person_id}", "/employees/{person_id}/history", "/employees/{person_id}/credit",
        "/people/{person_id}/photos", "/headshots",
    ],
    "/desk/people/{person_id}/delete": ["/people/{person_id}/erasure"],
    "/desk/template": ["/template"],
    "/gone/{receipt}": ["/receipts/{token}"],
    "/gone/{receipt}/certificate": ["/receipts/{token}"],
    "/left/{receipt}": ["/departures/{token}"],
    "/left/{receipt}/certificate/{stage}": ["/departures/{token}"],
    "/i/{token}": ["/links/{token}"],
    "/legal": ["/erasures", "/erasures/recipients", "/holds"],
    "/legal/certificates/{certificate_id}": [
        "/certificates/{certificate_id}", "/certificates/{certificate_id}/jws", "/certificates/{certificate_id}/pdf",
    ],
    "/legal/ledger": ["/ledger", "/ledger/export", "/ledger/checkpoint"],
    "/legal/records": ["/records", "/breaches", "/breaches/{breach_id}/people", "/breaches/{breach_id}/names"],
    "/legal/records/{name}": ["/records/{name}"],
    "/legal/requests": ["/requests", "/requests/record"],
    "/legal/requests/{request_id}": ["/requests/{request_id}"],
    "/operations": ["/lanes", "/jobs/given-up", "/pulse", "/cluster/runs", "/tenants/{tenant_id}"],
    "/operations/companies": ["/tenants"],
    "/operations/companies/{tenant_id}": ["/tenants/{tenant_id}"],
    "/operations/mail": ["/sender"],
    "/operations/operators": ["/operators"],
    "/questions": ["/concerns"],
    "/settings": ["/tenant", "/tenant/logo", "/tenant/sign-in"],
    "/settings/sender": ["/tenant", "/tenant/sender"],
    "/settings/leaving": ["/leaving", "/leaving/package", "/departures/{token}"],
    "/team": ["/members"],
    "/team/keys": ["/keys"],
    "/team/webhooks": ["/webhooks"],
    "/team/webhooks/{endpoint_id}": ["/webhooks/{endpoint_id}/deliveries"],
    "/visit": ["/visit", "/visit/sitting"],
    "/visit/certificates": ["/visit/certificates"],
    "/visit/certificates/{certificate_id}/pdf": ["/visit/certificates/{certificate_id}/pdf", "/visit/certificates"],
    "/visit/certificates/{certificate_id}/jws": ["/visit/certificates"],
    "/visit/consent": ["/visit/notice", "/visit/consent"],
    "/visit/consent/{name}": ["/visit/notice"],
    "/visit/consents/{consent_id}/receipt": ["/visit/consents/{consent_id}/receipt"],
    "/visit/declined": ["/visit"],
    "/visit/delete": ["/visit/photos", "/visit/headshots", "/visit/consent"],
    "/visit/done": ["/visit/headshots", "/visit/retakes", "/visit/release/asked"],
    "/visit/edit": ["/visit/edit", "/visit/edit/picture"],
    "/visit/erasure": ["/visit/requests", "/visit/holds"],
    "/visit/face": ["/visit/photos", "/visit/headshots", "/visit/export", "/visit/holds"],
    "/visit/fates": ["/visit/photos", "/visit/headshots"],
    "/visit/hand-over": ["/visit/headshots"],
    "/visit/headshots": ["/visit/headshots", "/visit/headshots/{headshot_id}/picture", "/visit/retakes"],
    "/visit/headshots/{headshot_id}": ["/visit/headshots", "/visit/headshots/{headshot_id}/picture"],
    "/visit/headshots/{headshot_id}/edit": ["/visit/headshots/{headshot_id}/edit", "/visit/backdrops/{backdrop_id}"],
    "/visit/making": ["/visit/sitting"],
    "/visit/photos": ["/visit/photos", "/visit/photos/{photo_id}/picture", "/visit/uploads"],
    "/visit/requests": ["/visit/requests", "/visit/holds"],
    "/visit/welcome": ["/visit", "/visit/address"],
    "/visit/wrong": ["/visit/concerns"],
}
"""Of a page, which reads of `/api/v1` tell what it shows."""
PAGES_SHOW_ALONE = {
    "/": "the front door of browsers",
    "/account": "about the sessions of browsers, which a program has none of",
    "/gone/{receipt}/certificate.pdf": "the signed text, which counts, is in the receipt; this is the same on paper",
    "/left/{receipt}/certificate/{stage}/pdf": "the same page on paper, of a company that left",
    "/help": "words about the pages",
    "/legal/ledger/check": "whoever does not believe the server walks the exported log with verifier.py",
    "/operations/mailbox": "stands in for a mail server where none is set up, and only there",
    "/operations/mailbox/{tenant_id}": "stands in for a mail server where none is set up, and only there",
    "/p/{token}": "the second screen of a person takes over from the first one",
    "/retention/{tenant_id}": "the notice's words about days, on a page of their own",
    "/sign-in": "the front door of browsers",
    "/sign-in/{token}": "a program posts to /sign-in/{token} at once",
    "/sso": "a step of the browser's own way to the company's provider",
    "/sso/again": "a step of the browser's own way to the company's provider",
    "/sso/callback": "a step of the browser's own way to the company's provider",
    "/sso/{provider_id}": "a step of the browser's own way to the company's provider",
    "/trust": "a page for the public; each figure comes from what companies read under /records",
    "/verify": "runs in the browser, without the server",
    "/verify/vectors.json": "a file for whoever writes a verifier",
    "/verify/verifier.py": "a program to keep",
    "/visit/phone": "a code of this screen alone, for the camera of a phone",
    "/visit/initials.svg": "drawn of the person's own name",
}
PROGRAMS_READ_ALONE = {
    "/logs/{tenant_id}/{epoch}/{size}": "a witness asks it by program; /verify does for who looks at a page",
}
FOR_MACHINES = ("/.well-known/", "/api", "/livez", "/metrics", "/readyz", "/schemas/", "/scim/", "/static/")
"""Neither a page nor of `/api/v1`."""


def routes(kernel: Kernel) -> Iterator[tuple[str, str]]:
    for route in create_app(kernel).routes:
        if isinstance(route, HTTPRoute):
            for method in {method for one in route.route_handlers for method in one.http_methods}:
                yield method, route.path_format


def test_pages_and_programs_read_the_same(kernel: Kernel) -> None:
    everything = list(routes(kernel))
    pages = {path for method, path in everything if method == "GET" and not path.startswith(FOR_MACHINES)}
    programs = {path.removeprefix("/api/v1") for method, path in everything
                if method == "GET" and path.startswith("/api/v1")}  # fmt: skip
    writes = {f"{method} {path.removeprefix('/api/v1')}" for method, path in everything if path.startswith("/api/v1")}
    assert pages - SHOWN.keys() - PAGES_SHOW_ALONE.keys() == set(), "a page shows what no program reads, without a reason"
    assert SHOWN.keys() | PAGES_SHOW_ALONE.keys() == pages, "a page is gone"
    read = {one for ones in SHOWN.values() for one in ones}
    assert read - programs - writes == set(), "what a program can read is gone"
    assert programs - read - PROGRAMS_READ_ALONE.keys() == set(), "a program reads what is on no page"


def test_pages_and_programs_do_the_same(kernel: Kernel) -> None:
    pages, programs = set(), set()
    for method, path in routes(kernel):
        if method in READS:
            continue
        if path.startswith("/api/v1"):
            programs.add(f"{method} {path.removeprefix('/api/v1')}")
        elif not path.startswith("/scim/"):
            pages.add(path)
    assert pages - SAME.keys() - PAGES_ALONE.keys() == set(), "a page does what no program can, and nothing says why"
    assert SAME.keys() | PAGES_ALONE.keys() == pages, "a page is gone"
    assert set(SAME.values()) - programs == set(), "what a program can do is gone"
    assert programs - set(SAME.values()) - PROGRAMS_ALONE.keys() == set(), "a program does what is on no page"
    assert PROGRAMS_ALONE.keys() <= programs


def test_the_guide_for_integrators_calls_what_there_is(kernel: Kernel) -> None:
    guide = (Path(__file__).parents[2] / "docs/guides/integrator.md").read_text()
    called = set(re.findall(r"`(GET|POST) (/api/v1/[^`?]+)`", guide))
    there = {(method, re.sub(r":\w+}", "}", path)) for method, path in routes(kernel)}
    assert len(called) > 10
    assert called - there == set()
