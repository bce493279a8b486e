"""Who may talk to the page's server: the page itself, from this machine, with its token."""

from __future__ import annotations

import json
import secrets
from urllib.parse import urlsplit

from starlette.types import ASGIApp, Message, Receive, Scope, Send

LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})
"""Names of this machine. Any other name in Host means that a foreign page had its own name point
here."""

HEADERS = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
}
"""Sent with every answer: nothing from elsewhere is loaded, and nobody frames or reads the page."""

API = "/api/"
"""Below this path the token is asked for; the page around it holds nothing of the user's."""


class Guard:
    """Refuses requests of other machines, other pages, and those without the token.

    The token travels in a header, which no other page can send here, and in the fragment of the
    page's address, which browsers send to nobody.

    Args:
        app: what is guarded.
        token: the token.
    """

    def __init__(self, app: ASGIApp, token: str) -> None:
        self.app = app
        self.token = token.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or hand on."""
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        if scope["type"] != "http":
            return  # there is no web socket here; the server closes what nobody accepts
        headers = {name.lower(): value for name, value in scope["headers"]}
        wrong = self._wrong(str(scope["path"]), headers)

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                extra = [(name.encode(), text.encode()) for name, text in HEADERS.items()]
                message = {**message, "headers": [*message.get("headers", []), *extra]}
            await send(message)

        if wrong:
            status, text = wrong
            body = json.dumps({"error": text}).encode()
            kind = [(b"content-type", b"application/json")]
            await guarded({"type": "http.response.start", "status": status, "headers": kind})
            await guarded({"type": "http.response.body", "body": body})
            return
        await self.app(scope, receive, guarded)

    def _wrong(self, path: str, headers: dict[bytes, bytes]) -> tuple[int, str] | None:
        """Return status and sentence where a request is refused."""
        host = headers.get(b"host", b"").decode("latin-1")
        if not _is_loopback(host):
            return 421, "This server answers to 127.0.0.1 and localhost only."
        origin = headers.get(b"origin")
        if origin is not None and origin.decode("latin-1") != f"http://{host}":
            return 403, "Another page may not use this server."
        site = headers.get(b"sec-fetch-site", b"none")
        if site not in (b"none", b"same-origin") and path.startswith(API):
            return 403, "Another page may not use this server."
        if path.startswith(API):
            given = headers.get(b"authorization", b"")
            if not secrets.compare_digest(given, b"Bearer " + self.token):
                return 401, "The token is missing or wrong. Open the address relume printed."
        return None


def _is_loopback(host: str) -> bool:
    """Return whether a Host header names this machine, at any port: a tunnel has its own."""
    try:
        parts = urlsplit(f"//{host}")
        port_is_good = parts.port is None or parts.port > 0
    except ValueError:
        return False
    plain = parts.netloc == host and "@" not in host and not parts.path
    return plain and port_is_good and parts.hostname in LOOPBACK
