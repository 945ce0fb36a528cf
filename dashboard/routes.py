"""All pages, and the files that they need."""

from __future__ import annotations

from litestar import Router

from dashboard import account, assets, sign_in, sso
from dashboard.desk import credits as desk_credits
from dashboard.desk import desk, home, imports, keys, looks, people, roster, settings, shelf, team, webhooks
from dashboard.desk.sending import invites, pilot
from dashboard.desk.sending import sender as own_sender
from dashboard.legal import deleting, erasing, leaving, legal, questions, records, witnesses
from dashboard.legal import requests as legal_requests
from dashboard.operations import companies, mailbox, operations, operators, sender
from dashboard.visit import (
    answering,
    choosing,
    editing,
    face,
    instead,
    language,
    phone,
    photos,
    rights,
    visit,
    waiting,
    wrong,
)
from dashboard.visit.asking import consent

routers: list[Router] = [
    Router(
        path="/",
        route_handlers=[
            assets.serve,
            *sign_in.routes,
            *sso.routes,
            *account.routes,
            *visit.routes,
            *photos.routes,
            *waiting.routes,
            *choosing.routes,
            *editing.routes,
            *face.routes,
            *consent.routes,
            *answering.routes,
            *language.routes,
            *rights.routes,
            *wrong.routes,
            *instead.routes,
            *phone.routes,
            *questions.routes,
            *people.routes,
            *roster.routes,
            *erasing.routes,
            *deleting.routes,
            *leaving.routes,
            *imports.routes,
            *home.routes,
            *desk.routes,
            *invites.routes,
            *pilot.routes,
            *looks.routes,
            *shelf.routes,
            *desk_credits.routes,
            *legal.routes,
            *records.routes,
            *witnesses.routes,
            *legal_requests.routes,
            *team.routes,
            *keys.routes,
            *webhooks.routes,
            *settings.routes,
            *own_sender.routes,
            *operations.routes,
            *operators.routes,
            *sender.routes,
            *companies.routes,
            *mailbox.routes,
        ],
        include_in_schema=False,
    ),
]
