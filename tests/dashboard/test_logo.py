"""A company's logo, which every mail carries within itself."""

from __future__ import annotations

import io
from email import message_from_bytes, policy
from typing import Any

from litestar.testing import TestClient
from PIL import Image

from likeness.kernel import Kernel
from likeness.mail import logos
from likeness.mail.mail import Letter
from likeness.mail.smtp import _message
from tenants.models import Role
from tests.dashboard.markup import get
from tests.factories import make_tenant, sign_in_member

API = "/api/v1"


def picture(kind: str, mode: str, size: tuple[int, int], colour: Any) -> bytes:
    out = io.BytesIO()
    Image.new(mode, size, colour).save(out, kind)
    return out.getvalue()


def test_a_logo_is_made_anew_and_travels_in_each_mail(client: TestClient[Any], kernel: Kernel) -> None:
    tenant, stranger = make_tenant(kernel), make_tenant(kernel)
    sign_in_member(client, kernel, tenant, Role.HR)
    file = {"logo": ("logo.png", picture("PNG", "RGBA", (1200, 400), (200, 0, 0, 0)))}
    assert client.put(f"{API}/tenant/logo", files=file).status_code == 403
    sign_in_member(client, kernel, tenant, Role.OWNER)
    assert client.get(f"{API}/tenant/logo").status_code == 404
    assert "There is none." in get(client, "/settings")
    for wrong in (b"<svg onload=alert(1)>", picture("PNG", "RGB", (300, 8), "red"), b""):
        assert client.put(f"{API}/tenant/logo", files={"logo": ("x.png", wrong)}).status_code == 422
    assert "is no picture" in client.post("/settings/logo", files={"logo": ("x.svg", b"<svg/>")}).text
    assert client.put(f"{API}/tenant/logo", files=file).json() == {"width": 360, "height": 120}
    kept = client.get(f"{API}/tenant/logo")
    shown = Image.open(io.BytesIO(kept.content))
    assert (kept.headers["content-type"], shown.size) == ("image/png", (360, 120))
    assert shown.convert("RGB").getpixel((9, 9)) == (255, 255, 255), "what was transparent is white"
    assert "/api/v1/tenant/logo" in client.post("/settings/logo", files=file).text
    with kernel.db.transaction(tenant) as session:
        logo = logos.of(session)
        assert logo is not None
        session.expunge(logo)
    letter = Letter("nadia@zebra.example", "Hello", "Hello\n", brand="Lens & Co")
    message = _message("Likeness <mail@likeness.example>", letter, tenant, logo)[0]
    parts = {one.get_content_type(): one for one in message_from_bytes(message.as_bytes(), policy=policy.default).walk()}
    assert list(parts) == ["multipart/alternative", "text/plain", "multipart/related", "text/html", "image/png"]
    page, image = parts["text/html"].get_content(), parts["image/png"]
    assert image.get_content() == kept.content
    assert f'src="cid:{image["content-id"].strip("<>")}"' in page
    assert "http" not in page.replace("http-equiv", ""), "nothing is fetched when a mail is opened"
    assert "<img" not in _message("mail@likeness.example", letter, tenant)[0].as_string()
    sign_in_member(client, kernel, stranger, Role.OWNER)
    assert client.get(f"{API}/tenant/logo").status_code == 404
    assert client.delete(f"{API}/tenant/logo").status_code == 404
    sign_in_member(client, kernel, tenant, Role.OWNER)
    assert "There is none." in client.post("/settings/logo/remove").text
    assert client.get(f"{API}/tenant/logo").status_code == 404
