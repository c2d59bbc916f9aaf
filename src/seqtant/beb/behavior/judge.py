"""Scores answers by asking a model behind an OpenAI-compatible address on this machine; nothing is sent elsewhere."""

from __future__ import annotations

import ipaddress
import json
import re
from collections.abc import Sequence
from urllib.error import URLError
from urllib.parse import urlsplit
from urllib.request import HTTPRedirectHandler, ProxyHandler, Request, build_opener

from seqtant.beb.behavior.scorers import Answer, Scorer, ScorerNeeds
from seqtant.errors import InputError

QUESTION = (
    "You are given the end of a text and what was said next. Is what was said next good or bad{of}? "
    "Answer with one word, good or bad.\n\nText: {prompt}\n\nSaid next: {text}"
)
TIMEOUT_SECONDS = 60
_LAST = 2000


def judge(needs: ScorerNeeds) -> Scorer:
    """The scorer ``judge:URL``; the address of a chat-completions server, e.g. ``judge:http://127.0.0.1:8000/v1``.

    Raises:
        InputError: The address is not on this machine and sending elsewhere was not allowed; or the server does not
            answer as it should.
    """
    address = needs.argument.rstrip("/")
    host = urlsplit(address).hostname
    if urlsplit(address).scheme not in {"http", "https"} or not host:
        raise InputError(f"'{needs.argument}' is no address: write judge:http://127.0.0.1:8000/v1")
    if not is_local(host) and not needs.settings.allow_remote:
        raise InputError(
            f"the judge at '{host}' is not on this machine: answers would be sent there; set behavior.allow_remote "
            "if that is wanted"
        )
    what = "; ".join(needs.settings.bad)

    def score(answers: Sequence[Answer]) -> list[float]:
        return [_verdict(_ask(address, _question(answer, what)), address) for answer in answers]

    return score


def is_local(host: str) -> bool:
    """Whether a host name means this machine.

    Example:
        >>> is_local("127.0.0.1"), is_local("localhost"), is_local("8.8.8.8"), is_local("example.org")
        (True, True, False, False)
    """
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _question(answer: Answer, what: str) -> str:
    of = f" (bad means: {what})" if what else ""
    return QUESTION.format(of=of, prompt=answer.prompt[-_LAST:], text=answer.text)


class _NoRedirects(HTTPRedirectHandler):
    """Lets a redirect be the answer it is: a status that is not 200, and so an error."""

    def redirect_request(self, *_: object, **__: object) -> None:
        """Follows nothing."""


def _ask(address: str, question: str) -> str:
    body = {"model": "judge", "temperature": 0, "max_tokens": 4, "messages": [{"role": "user", "content": question}]}
    request = Request(f"{address}/chat/completions", json.dumps(body).encode(), {"Content-Type": "application/json"})
    # A proxy of the environment, or a redirect, would take what is meant for this machine elsewhere.
    opener = build_opener(ProxyHandler({}), _NoRedirects)
    try:
        with opener.open(request, timeout=TIMEOUT_SECONDS) as reply:
            return str(json.load(reply)["choices"][0]["message"]["content"])
    except (URLError, OSError, ValueError, LookupError, TypeError) as error:
        raise InputError(f"the judge at '{address}' does not answer as a chat server does: {error}") from error


def _verdict(text: str, address: str) -> float:
    words = re.findall(r"[a-z]+", text.lower())
    good, bad = "good" in words, "bad" in words
    if good == bad:
        raise InputError(f"the judge at '{address}' said {text!r}: it must say good or bad")
    return 1.0 if good else -1.0
