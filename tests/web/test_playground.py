"""The playground in a real browser: the slider changes the text, a moved slider cancels, state lives in the URL."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from seqtant.runs.recorder import Context, find_browser
from seqtant.steering.config import ChooseConfig
from tests.steering.samples import make_model

pytestmark = pytest.mark.web

TOKEN = "of-this-start"
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]


@pytest.fixture(scope="module")
def studio(tmp_path_factory: pytest.TempPathFactory) -> Any:
    from seqtant.reference.world.world import reference_world
    from seqtant.steering.playground.studio import Studio

    model = make_model(reference_world())
    folder = tmp_path_factory.mktemp("playground") / "small"
    model.model.save_pretrained(folder)
    assert model.tokenizer is not None
    model.tokenizer.save_pretrained(folder)
    (folder / "manifest.json").write_text("{}", encoding="utf-8")
    config = ChooseConfig(model=str(folder), prompts=6, items=24, max_pairs=12)
    return Studio(config, Context(device="cpu"))


@pytest.fixture(scope="module")
def address(studio: Any) -> Iterator[str]:
    uvicorn = pytest.importorskip("uvicorn", reason="uvicorn is not installed: pip install 'seqtant[ui]'")
    from seqtant.steering.playground.server import make_app

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server = uvicorn.Server(uvicorn.Config(make_app(studio, TOKEN), host="127.0.0.1", port=port, log_level="warning"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.02)
    yield f"http://127.0.0.1:{port}/"
    server.should_exit = True
    thread.join()


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    path = find_browser()
    if path is None:
        pytest.skip("no browser is installed: apt-get install chromium")
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with sync_api.sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield launched
        launched.close()


class Opened:
    """The page, with everything that went wrong on it."""

    def __init__(self, browser: Any, address: str, *, width: int = 1200, scheme: str = "light") -> None:
        self.wrong: list[str] = []
        self.asked: list[str] = []
        self.context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
        self.page = self.context.new_page()
        self.page.on("console", lambda m: self.wrong.append(m.text) if m.type in {"error", "warning"} else None)
        self.page.on("pageerror", lambda error: self.wrong.append(str(error)))
        self.page.on("request", lambda request: self.asked.append(request.url))
        base, _, fragment = address.partition("#")
        self.page.goto(f"{base}?token={TOKEN}" + (f"#{fragment}" if fragment else ""))

    def __enter__(self) -> Opened:
        return self

    def __exit__(self, *error: object) -> None:
        self.context.close()

    def spoken(self, strength: float) -> tuple[str, str]:
        """Both replies once the page has them at this strength."""
        close = "s => Math.abs(Number(document.body.dataset.spoken) - s) < 1e-6"
        self.page.wait_for_function(close, arg=strength, timeout=30_000)
        return self.page.inner_text("#plain"), self.page.inner_text("#steered")

    def wait_until(self, happened: Callable[[], bool]) -> None:
        for _ in range(500):
            if happened():
                return
            self.page.wait_for_timeout(20)
        raise AssertionError("it did not happen within ten seconds")

    def move(self, strength: float) -> None:
        script = "(e, v) => { e.value = v; e.dispatchEvent(new Event('input')); }"
        self.page.eval_on_selector("#strength", script, strength)


def test_the_slider_changes_the_text_and_nothing_goes_wrong(browser: Any, address: str, studio: Any) -> None:
    with Opened(browser, address) as opened:
        plain, steered = opened.spoken(0.0)
        assert plain == steered != ""
        opened.move(studio.reach)
        after, moved = opened.spoken(studio.reach)
        assert after == plain
        assert moved != plain
        opened.page.wait_for_selector("#curve circle.now")
        assert opened.wrong == []
        assert all(url.startswith((address, "data:")) for url in opened.asked), "the page asked for something else"


def test_state_is_in_the_address_and_comes_back(browser: Any, address: str, studio: Any) -> None:
    strength = studio.reach / 2
    with Opened(browser, address) as opened:
        opened.spoken(0.0)
        opened.page.fill("#prompt", "talk : we love the lamp .")
        opened.move(strength)
        said = opened.spoken(strength)
        link = opened.page.url
    with Opened(browser, link) as again:
        assert again.spoken(strength) == said
        assert again.page.input_value("#prompt") == "talk : we love the lamp ."
        assert again.wrong == []


def test_strength_for_budget_and_copy_as_command(browser: Any, address: str) -> None:
    with Opened(browser, address) as opened:
        opened.spoken(0.0)
        opened.page.click("#budget")
        opened.page.wait_for_function("() => document.getElementById('status').textContent.match(/spends|no limit/)")
        chosen = float(opened.page.input_value("#strength"))
        assert chosen > 0
        answer = opened.page.inner_text("#status")
        opened.spoken(chosen)
        assert opened.page.inner_text("#status") == answer, "it stays when the replies come"
        opened.page.click("#copy")
        opened.page.wait_for_function("() => document.getElementById('status').textContent.includes('steering apply')")
        told = opened.page.inner_text("#status")
        assert "--strength" in told
        assert "--layers" in told
        assert opened.wrong == []


def test_a_cancelled_request_stops_before_the_next_token(studio: Any) -> None:
    stop = threading.Event()
    pieces = studio.speak("talk :", 0.0, studio.bench.vector.layers, 40, stop)
    next(pieces)
    stop.set()
    assert len(list(pieces)) <= 1, "at most the other side of the token under way"


def test_a_moved_slider_stops_the_model_of_the_one_before(
    browser: Any, address: str, studio: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    spoken: dict[float, int] = {}
    whole = studio.speak

    def slowly(prompt: str, strength: float, *rest: Any) -> Any:
        for piece in whole(prompt, strength, *rest):
            spoken[round(strength, 6)] = spoken.get(round(strength, 6), 0) + 1
            time.sleep(0.05)
            yield piece

    with Opened(browser, address) as opened:
        opened.spoken(0.0)
        monkeypatch.setattr(studio, "speak", slowly)
        strengths = [round(share * studio.reach, 6) for share in (0.2, 0.5, 0.9)]
        for strength in strengths:
            opened.move(strength)
            opened.wait_until(lambda wanted=strength: wanted in spoken)
        opened.spoken(strengths[-1])
        assert spoken[strengths[-1]] == 2 * 40, "the last one speaks to the end, on both sides"
        assert all(0 < spoken[strength] < 40 for strength in strengths[:-1]), "the others were stopped"
        assert opened.wrong == []


def test_another_choice_of_blocks_changes_text_and_curve(browser: Any, address: str, studio: Any) -> None:
    with Opened(browser, address) as opened:
        opened.spoken(0.0)
        opened.move(studio.reach)
        both = opened.spoken(studio.reach)
        opened.page.wait_for_selector("#curve circle.now")
        curve = opened.page.get_attribute("#curve path", "d")
        opened.page.uncheck("#layers input >> nth=0")
        opened.page.wait_for_function("before => document.querySelector('#curve path').getAttribute('d') !== before",
                                      arg=curve)  # fmt: skip
        assert opened.page.inner_text("#plain") == both[0]
        assert opened.page.inner_text("#steered") != both[1]
        opened.page.uncheck("#layers input >> nth=0")
        opened.page.uncheck("#layers input >> nth=1")
        opened.page.wait_for_function(
            "() => document.getElementById('status').textContent.includes('at least one block')"
        )
        assert opened.wrong == []


@pytest.mark.parametrize("width", [380, 1200])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_fits_narrow_and_wide_in_both_schemes(browser: Any, address: str, width: int, scheme: str) -> None:
    with Opened(browser, address, width=width, scheme=scheme) as opened:
        opened.spoken(0.0)
        opened.page.wait_for_selector("#curve svg")
        assert opened.page.evaluate("document.documentElement.scrollWidth") <= width
        shots = os.environ.get("SEQTANT_SCREENSHOTS")
        if shots:
            opened.page.screenshot(path=Path(shots) / f"playground-{width}-{scheme}.png", full_page=True)
        assert opened.wrong == []


def ask(address: str, path: str, **headers: str) -> tuple[int, str, Any]:
    """Status, text and headers of one request of a program that knows the token."""
    import http.client

    port = address.rstrip("/").rpartition(":")[2]
    connection = http.client.HTTPConnection("127.0.0.1", int(port), timeout=30)
    try:
        connection.request("GET", path, headers={"Cookie": f"seqtant-{port}={TOKEN}", **headers})
        answer = connection.getresponse()
        return answer.status, answer.read().decode(), answer.headers
    finally:
        connection.close()


def test_bad_requests_are_told_in_words(address: str) -> None:
    for path, reason in (
        ("budget?share=3&layers=1", "between 0.001 and 1"),
        ("budget?share=1e-300&layers=1", "between 0.001 and 1"),
        ("point?strength=1&layers=x", "cannot be read"),
    ):
        status, text, _ = ask(address, f"/{path}")
        assert status == 422
        assert reason in text


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"Host": "localhost:8765"}, 200),
        ({"Host": "evil.example"}, 403),
        ({"Host": "127.0.0.1.evil.example:8765"}, 403),
        ({"Host": ""}, 403),
        ({"Sec-Fetch-Site": "same-origin"}, 200),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Cookie": ""}, 403),
        ({"Cookie": "seqtant=guessed"}, 403),
    ],
)
def test_only_its_own_page_reaches_the_model(address: str, headers: dict[str, str], status: int) -> None:
    """DNS rebinding, requests from other sites, and whoever does not know this start's token."""
    found, text, answered = ask(address, "/about", **headers)
    assert found == status
    assert ("model" in text) == (status == 200)
    assert answered["X-Frame-Options"] == "DENY"
    assert answered["X-Content-Type-Options"] == "nosniff"
    assert "frame-ancestors 'none'" in answered["Content-Security-Policy"]


def test_the_token_leaves_the_address_bar(browser: Any, address: str) -> None:
    with Opened(browser, address) as opened:
        opened.spoken(0.0)
        assert "token" not in opened.page.url


def test_another_site_can_neither_read_nor_frame_it(browser: Any, address: str) -> None:
    with Opened(browser, address) as opened:
        opened.spoken(0.0)
        stranger = opened.context.new_page()
        stranger.route("http://evil.test/", lambda route: route.fulfill(body="<p>mine</p>", content_type="text/html"))
        stranger.goto("http://evil.test/")
        read = "address => fetch(address + 'about', {credentials: 'include'}).then(() => 'read', () => 'blocked')"
        assert stranger.evaluate(read, address) == "blocked"
        status = "address => new Promise(done => { const f = document.createElement('iframe'); f.src = address;" \
            " f.onload = () => done(f.contentDocument ? f.contentDocument.body.innerText : 'blocked');" \
            " document.body.append(f); })"  # fmt: skip
        assert "Steering" not in stranger.evaluate(status, address)
