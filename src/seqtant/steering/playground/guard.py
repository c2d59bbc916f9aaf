"""Who may talk to the playground: pages of its own address, opened with the token that the command printed.

A server on 127.0.0.1 is within reach of every page in the user's browser: by a name that is made to point there (DNS
rebinding), by requests from other sites, by a frame. Each is turned away before the application sees it.
"""

from __future__ import annotations

import secrets
from http.cookies import CookieError, SimpleCookie
from typing import Any
from urllib.parse import parse_qs, urlsplit

LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})
HEADERS = (
    (
        b"content-security-policy",
        b"default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; connect-src 'self'; "
        b"img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    ),
    (b"x-frame-options", b"DENY"),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
    (b"cache-control", b"no-store"),
)
_OWN_SITES = {"same-origin", "none"}


class Guard:
    """ASGI middleware in front of the application.

    Args:
        application: What is guarded.
        token: Must come with the first request, as ``/?token=...``; a cookie keeps it for the page's own requests.
    """

    def __init__(self, application: Any, token: str) -> None:
        self._application = application
        self._token = token

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answers one request, by itself where it is refused."""
        if scope["type"] != "http":
            await self._application(scope, receive, send)
            return
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        refused = _refusal(headers)
        if refused:
            await _answer(send, 403, refused)
            return
        cookie = f"seqtant-{(scope.get('server') or ('', 0))[1]}"
        given = parse_qs(scope["query_string"].decode("latin-1")).get("token", [""])[0]
        if secrets.compare_digest(given.encode(), self._token.encode()):
            # The token leaves the address bar at once; the fragment, which holds the page's state, stays.
            kept = f"{cookie}={self._token}; Path=/; HttpOnly; SameSite=Strict"
            await _answer(send, 303, "", (b"location", b"/"), (b"set-cookie", kept.encode()))
            return
        try:
            held = SimpleCookie(headers.get("cookie", "")).get(cookie)
        except CookieError:
            held = None
        if not secrets.compare_digest((held.value if held else "").encode(), self._token.encode()):
            await _answer(send, 403, "open the address that the command printed: it carries this start's token")
            return

        async def send_with_headers(message: Any) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], *HEADERS]
            await send(message)

        await self._application(scope, receive, send_with_headers)


def _refusal(headers: dict[str, str]) -> str:
    try:
        name = urlsplit(f"//{headers.get('host', '')}").hostname
    except ValueError:
        name = None
    if name not in LOOPBACK:
        return "this page answers to 127.0.0.1 and localhost only"
    # Browsers say where a request comes from; programs such as curl say nothing and need the token all the same.
    if headers.get("sec-fetch-site", "none") not in _OWN_SITES:
        return "this page takes no requests from other sites"
    origin = headers.get("origin")
    if origin is not None and urlsplit(origin).netloc != headers["host"]:
        return "this page takes no requests from other sites"
    return ""


async def _answer(send: Any, status: int, text: str, *headers: tuple[bytes, bytes]) -> None:
    plain = (b"content-type", b"text/plain; charset=utf-8")
    await send({"type": "http.response.start", "status": status, "headers": [plain, *headers, *HEADERS]})
    await send({"type": "http.response.body", "body": text.encode()})
