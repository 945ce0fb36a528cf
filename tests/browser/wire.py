"""What comes over the line for a page."""

from __future__ import annotations

from typing import Any

from playwright.sync_api import Page

PICTURES = ("Image", "Media")


class Wire:
    """Counts the bytes of each address, headers too and packed as they come, for a browser that has nothing of a page yet.

    Pictures are left out. What a page asks for again and again, such as its live part, counts once.
    """

    def __init__(self, page: Page) -> None:
        line = page.context.new_cdp_session(page)
        line.on("Network.responseReceived", self._begun)
        line.on("Network.loadingFinished", self._ended)
        line.send("Network.enable")
        line.send("Network.setCacheDisabled", {"cacheDisabled": True})
        self._addresses: dict[str, str] = {}
        self._sizes: dict[str, int] = {}

    def _begun(self, seen: dict[str, Any]) -> None:
        if seen["type"] not in PICTURES:
            self._addresses[seen["requestId"]] = seen["response"]["url"]

    def _ended(self, seen: dict[str, Any]) -> None:
        if (address := self._addresses.pop(seen["requestId"], None)) is not None:
            self._sizes[address] = max(self._sizes.get(address, 0), int(seen["encodedDataLength"]))

    def begin(self) -> None:
        self._addresses.clear()
        self._sizes.clear()

    def bytes(self) -> int:
        """Since `begin`."""
        return sum(self._sizes.values())
