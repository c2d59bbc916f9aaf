"""The page in a real browser: opens from disk without an error, draws, fits narrow and wide, light, dark and paper."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import plotly
import pytest

from seqtant.findings import Result, from_json
from seqtant.instruments import write_report
from seqtant.runs.recorder import find_browser

pytestmark = [pytest.mark.web, pytest.mark.usefixtures("demo_package")]

FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
LINE = ".plot .scatterlayer .trace path.js-line"
WIDTHS = [380, 1400]
SCHEMES = ["light", "dark"]


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    path = find_browser()
    if path is None:
        pytest.skip("no browser is installed: apt-get install chromium")
    sync_api = pytest.importorskip(
        "playwright.sync_api", reason="playwright is not installed: pip install 'seqtant[dev]'"
    )
    with sync_api.sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield launched
        launched.close()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Pages of every kind: with drawings and without."""
    from seqtant.demo.samples import composite, single  # pyright: ignore[reportMissingImports]

    write_report([composite()], tmp_path / "composite.html")
    write_report([single()], tmp_path / "single.html")
    bare = Result(instrument="nowhere.half", title="Bare", id="0bare", created="", config={}, config_hash="")
    write_report([bare], tmp_path / "bare.html")
    return tmp_path


class Opened:
    """A page in the browser, with everything that went wrong."""

    def __init__(self, browser: Any, path: Path, **context: Any) -> None:
        self.wrong: list[str] = []
        self.requested: list[str] = []
        self.context = browser.new_context(**context)
        self.page = self.context.new_page()
        self.page.on("console", lambda message: self.wrong.append(message.text) if message.type in WRONG else None)
        self.page.on("pageerror", lambda error: self.wrong.append(str(error)))
        self.page.on("request", lambda request: self.requested.append(request.url))
        self.page.goto(path.as_uri())

    def __enter__(self) -> Any:
        return self

    def __exit__(self, *error: object) -> None:
        self.context.close()

    def style(self, selector: str, name: str) -> str:
        return self.page.eval_on_selector(selector, f"element => getComputedStyle(element)['{name}']")


WRONG = {"error", "warning"}
PLOTLY = Path(plotly.__file__).parent / "package_data" / "plotly.min.js"


def open_page(browser: Any, path: Path, width: int = 1400, scheme: str = "light", **context: Any) -> Opened:
    return Opened(browser, path, viewport={"width": width, "height": 900}, color_scheme=scheme, **context)


@pytest.mark.parametrize(
    ("name", "width", "scheme"),
    [*(("composite", width, scheme) for width in WIDTHS for scheme in SCHEMES), ("bare", 380, "dark")],
)
def test_opens_from_disk_fits_and_draws(name: str, width: int, scheme: str, browser: Any, folder: Path) -> None:
    with open_page(browser, folder / f"{name}.html", width, scheme) as opened:
        page = opened.page
        plots = page.locator(".plot")
        for number in range(plots.count()):
            plots.nth(number).locator("svg.main-svg .trace").first.wait_for(state="attached")
        assert opened.wrong == []
        assert opened.requested == [(folder / f"{name}.html").as_uri()], "the page asked for something else"
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert plots.count() == {"composite": 3, "bare": 0}[name]
        for number in range(plots.count()):
            box = plots.nth(number).bounding_box()
            assert box["x"] >= 0
            assert box["x"] + box["width"] <= width
            assert box["height"] > 200
        shots = os.environ.get("SEQTANT_SCREENSHOTS")
        if shots:
            page.screenshot(path=Path(shots) / f"{name}-{width}-{scheme}.png", full_page=True)


def test_no_button_of_a_figure_sends_anything(browser: Any, folder: Path) -> None:
    """plotly 7 brings a button that uploads a chart; the page's bar holds what is named and asks for nothing."""
    with open_page(browser, folder / "composite.html") as opened:
        opened.page.locator(LINE).first.wait_for(state="attached")
        buttons = opened.page.locator(".plot").first.locator(".modebar-btn")
        titles = [buttons.nth(number).get_attribute("data-title") for number in range(buttons.count())]
        assert titles == ["Download plot as a PNG", "Zoom", "Pan", "Reset axes"]
        every = opened.page.locator(".modebar-btn")
        for number in range(every.count()):
            every.nth(number).dispatch_event("click")
        opened.page.wait_for_timeout(300)
        assert [url for url in opened.requested if not url.startswith(("file:", "blob:", "data:"))] == []
        assert len(opened.context.pages) == 1
        assert opened.page.locator(".plotly-cloud-dialog-box").count() == 0
        assert "cloud.plotly" not in opened.page.content().replace(PLOTLY.read_text(encoding="utf-8"), "")


def brightness(color: str) -> float:
    return sum(int(part) for part in color.removeprefix("rgb(").removesuffix(")").split(",")[:3]) / 3


def test_dark_and_light_differ_and_drawings_follow_a_change(browser: Any, folder: Path) -> None:
    with open_page(browser, folder / "single.html") as opened:
        opened.page.wait_for_selector(LINE, state="attached")
        light = opened.style("body", "backgroundColor"), opened.style(LINE, "stroke")
        opened.page.emulate_media(color_scheme="dark")
        changed = f"before => getComputedStyle(document.querySelector('{LINE}')).stroke !== before"
        opened.page.wait_for_function(changed, arg=light[1], timeout=5000)
        dark = opened.style("body", "backgroundColor"), opened.style(LINE, "stroke")
        assert brightness(light[0]) > 200
        assert brightness(dark[0]) < 60
        assert brightness(dark[1]) > brightness(light[1])
        assert opened.wrong == []


@pytest.mark.parametrize("scheme", SCHEMES)
def test_text_is_readable(scheme: str, browser: Any, folder: Path) -> None:
    """Contrast of at least 4.5 to 1 (WCAG AA), for every text on its background."""
    with open_page(browser, folder / "composite.html", scheme=scheme) as opened:
        poor = opened.page.evaluate(CONTRAST)
    assert poor == []


CONTRAST = """() => {
  const channels = (text) => (text.match(/[\\d.]+/g) || []).map(Number);
  const light = ([r, g, b]) => [r, g, b].map((c) => c / 255)
    .map((c) => (c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4))
    .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
  const paper = (element) => {
    for (let e = element; e; e = e.parentElement) {
      const color = channels(getComputedStyle(e).backgroundColor);
      if (color.length === 3 || color[3] === 1) return color;
    }
    return [255, 255, 255];
  };
  const poor = [];
  for (const element of document.querySelectorAll("body *:not(script):not(style)")) {
    if (element.closest(".plot") || !element.checkVisibility()) continue;
    const own = [...element.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim());
    if (!own) continue;
    const style = getComputedStyle(element);
    const ink = channels(element.ownerSVGElement ? style.fill : style.color);
    const [a, b] = [light(ink), light(paper(element))].sort((x, y) => y - x);
    const ratio = (a + 0.05) / (b + 0.05);
    if (ratio < 4.5) poor.push(`${ratio.toFixed(2)} ${element.className} ${element.textContent.trim().slice(0, 40)}`);
  }
  return poor;
}"""


def test_without_scripts_everything_but_the_drawings_is_there(browser: Any, folder: Path) -> None:
    with open_page(browser, folder / "composite.html", java_script_enabled=False) as opened:
        notes = opened.page.locator("noscript")
        assert notes.count() == 3
        assert "The drawing needs JavaScript" in notes.first.inner_text()
        opened.page.locator("figure .numbers summary").first.click()
        assert opened.page.locator("figure .numbers table").first.is_visible()
        assert opened.page.locator("svg.whiskers").first.is_visible()
        assert opened.page.locator("button.save:visible").count() == 0


def test_hostile_text_stays_text(browser: Any, folder: Path) -> None:
    with open_page(browser, folder / "composite.html") as opened:
        dialogs: list[str] = []
        opened.page.on("dialog", lambda dialog: dialogs.append(dialog.message))
        opened.page.reload()
        assert dialogs == []
        assert "</script><script>alert('x')</script>" in opened.page.title()


def test_links_of_the_strip_lead_to_their_sections(browser: Any, folder: Path) -> None:
    with open_page(browser, folder / "composite.html") as opened:
        opened.page.emulate_media(reduced_motion="reduce")
        opened.page.locator(".strip .line").nth(1).click()
        heading = opened.page.get_by_role("heading", name="A pendulum of 2.5 m")
        assert 0 <= heading.bounding_box()["y"] < 200


def test_the_record_can_be_saved(browser: Any, folder: Path) -> None:
    with open_page(browser, folder / "single.html") as opened:
        with opened.page.expect_download() as download:
            opened.page.locator("button.save").click()
        saved = Path(download.value.path()).read_bytes()
    result = from_json(Result, saved)
    assert download.value.suggested_filename == f"record-{result.id}.json"
    assert result.title == "A pendulum of 1 m"


@pytest.mark.parametrize("scheme", SCHEMES)
def test_prints_to_paper_with_drawings_inside_the_sheet(scheme: str, browser: Any, folder: Path) -> None:
    with open_page(browser, folder / "single.html", scheme=scheme) as opened:
        opened.page.wait_for_selector(".plot svg.main-svg", state="attached")
        pdf = opened.page.pdf(format="A4", print_background=True)
        assert pdf.startswith(b"%PDF")
        assert opened.wrong == []
        opened.page.evaluate("dispatchEvent(new Event('beforeprint'))")
        opened.page.emulate_media(media="print")
        assert brightness(opened.style("body", "backgroundColor")) == 255
        assert opened.page.locator("figure .plot svg.main-svg").first.bounding_box()["width"] <= 680
        assert opened.page.locator("details.provenance").first.get_attribute("open") is not None
        opened.page.evaluate("dispatchEvent(new Event('afterprint'))")
        assert opened.page.locator("details.provenance").first.get_attribute("open") is None


@pytest.mark.skipif(
    shutil.which("pdftotext") is None, reason="pdftotext is not installed: apt-get install poppler-utils"
)
def test_the_printed_sheet_holds_the_words(browser: Any, folder: Path) -> None:
    import subprocess

    with open_page(browser, folder / "single.html") as opened:
        opened.page.pdf(path=folder / "page.pdf", format="A4")
    words = subprocess.run(["pdftotext", folder / "page.pdf", "-"], capture_output=True, text=True, check=True).stdout
    for expected in ("How long does one swing take?", "Trust the law.", "The angle is small.", "seqtant demo pendulum"):
        assert expected in words
