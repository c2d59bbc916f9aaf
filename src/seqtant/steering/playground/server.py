"""Serves the page on 127.0.0.1: tokens as server-sent events, the rest as JSON; a closed request stops the model."""

from __future__ import annotations

import asyncio
import json
import secrets
import threading
from collections.abc import AsyncIterator
from importlib.resources import files
from typing import Any

from seqtant.errors import InputError
from seqtant.optional import require
from seqtant.runs.recorder import Context
from seqtant.settings import resolve
from seqtant.steering.config import ChooseConfig
from seqtant.steering.playground.guard import Guard
from seqtant.steering.playground.studio import Studio

HOST = "127.0.0.1"


def serve(*, port: int, device: str, seed: int, check: bool, **named: Any) -> None:
    """Loads everything and serves until interrupted.

    Args:
        port: Where the page is served, on this machine only.
        device: Where the model runs.
        seed: Seed of what is random.
        check: Only load everything.
        **named: Model, vector and items, as in ``ChooseConfig``; None means not given.

    Raises:
        MissingExtraError: FastAPI or uvicorn is not installed.
        InputError: Something cannot be read, or the port is not free.
    """
    uvicorn = require("uvicorn", extra="ui")
    require("fastapi", extra="ui")
    if not 1 <= port <= 65535:
        raise InputError(f"port is {port}: give a number from 1 to 65535")
    studio = Studio(resolve(ChooseConfig, flags=named), Context(seed=seed, device=device))
    token = secrets.token_urlsafe(16)
    application = make_app(studio, token)
    print(f"http://{HOST}:{port}/?token={token}", flush=True)  # noqa: T201  (the address is what the command answers)
    if not check:
        uvicorn.run(application, host=HOST, port=port, log_level="warning")


def make_app(studio: Studio, token: str) -> Any:
    """The application around one loaded model; the first request must bring the token."""
    fastapi = require("fastapi", extra="ui")
    responses = require("fastapi.responses", extra="ui")
    application = fastapi.FastAPI(title="Seqtant steering", docs_url=None, redoc_url=None, openapi_url=None)
    page = (files("seqtant.steering.playground") / "page.html").read_text(encoding="utf-8")

    application.add_exception_handler(
        InputError, lambda request, error: responses.JSONResponse({"error": str(error)}, status_code=422)
    )
    application.add_api_route("/", lambda: responses.HTMLResponse(page))
    application.add_api_route("/about", studio.about)

    def curve(layers: str) -> Any:
        return studio.curve([studio.reach * step / 6 for step in range(-6, 7)], _layers(layers))

    def point(strength: float, layers: str) -> Any:
        return studio.curve([strength], _layers(layers))[0]

    def budget(share: float, layers: str) -> Any:
        return studio.strength_for(share, _layers(layers))

    async def speak(prompt: str, strength: float, layers: str, tokens: int = 40) -> Any:
        cancelled = threading.Event()
        pieces = studio.speak(prompt, strength, _layers(layers), min(max(tokens, 1), 400), cancelled)
        return responses.StreamingResponse(_events(pieces, cancelled), media_type="text/event-stream")

    # FastAPI reads annotations of local functions only if they are types, not text.
    types = {"str": str, "float": float, "int": int}
    endpoints: tuple[Any, ...] = (speak, curve, point, budget)
    for endpoint in endpoints:
        told = endpoint.__annotations__
        endpoint.__annotations__ = {name: types[kind] for name, kind in told.items() if name != "return"}
        application.add_api_route(f"/{endpoint.__name__}", endpoint)
    return Guard(application, token)


def _layers(text: str) -> list[int]:
    try:
        found = [int(part) for part in text.split(",")]
    except ValueError as error:
        raise InputError(f"layers '{text}' cannot be read: write numbers with commas") from error
    return sorted(set(found))


async def _events(pieces: Any, cancelled: threading.Event) -> AsyncIterator[str]:
    """Server-sent events; when the browser closes the request, the generator is closed and the model stops."""
    try:
        while (piece := await asyncio.to_thread(next, pieces, None)) is not None:
            yield f"data: {json.dumps(piece)}\n\n"
        yield "event: end\ndata: {}\n\n"
    except InputError as error:
        yield f"event: refused\ndata: {json.dumps(str(error))}\n\n"
    finally:
        cancelled.set()
