"""Takes the pictures of the documentation from the pages that the commands write, in a headless browser."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from playwright.sync_api import sync_playwright

IMAGES = Path(__file__).parent / "images"
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]


def picture(page: Path, image: Path, *, width: int = 1100, height: int = 900) -> None:
    """Saves the top of a page as a PNG file."""
    browser_path = shutil.which("chromium")
    if browser_path is None:
        sys.exit("no chromium is installed: the pictures cannot be taken")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=browser_path, args=FLAGS)
        tab = browser.new_page(viewport={"width": width, "height": height}, color_scheme="light")
        tab.goto(page.resolve().as_uri())
        tab.wait_for_load_state("networkidle")
        tab.screenshot(path=image)
        browser.close()


if __name__ == "__main__":
    IMAGES.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(["seqtant", "checkup", "--out", folder], check=True, stdout=subprocess.DEVNULL)
        picture(Path(folder) / "report.html", IMAGES / "checkup.png")
