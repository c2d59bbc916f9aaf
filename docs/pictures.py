"""Takes the pictures of the documentation from the pages that the commands write, in a headless browser.

python docs/pictures.py            all of them
python docs/pictures.py checkup    one
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from playwright.sync_api import Browser, sync_playwright

IMAGES = Path(__file__).parent / "images"
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"]


@dataclass(frozen=True)
class Picture:
    """One picture: the top of the page that a command writes, or one figure in it."""

    name: str
    """Name of the file without its suffix."""
    command: str
    """What is run, without ``seqtant`` and ``--out``."""
    figure: str = ""
    """Key of the figure; none means the top of the page."""


PICTURES = (
    Picture("checkup", "checkup"),
    Picture("architecture-depth-law", "architecture plan --params 1.3B", "depth_law"),
    Picture("architecture-rank", "architecture rank --depth 2 --width 4 --heads 1 --tokens 8", "rank_by_width"),
)


def take(picture: Picture, browser: Browser) -> None:
    """Runs the command and saves the picture as a PNG file."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "seqtant", *picture.command.split(), "--out", "report"]
        home = os.environ | {"SEQTANT_HOME": folder}
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, cwd=folder, env=home)
        tab = browser.new_page(viewport={"width": 1100, "height": 900}, color_scheme="light")
        tab.goto((Path(folder) / "report" / "report.html").resolve().as_uri())
        tab.wait_for_load_state("networkidle")
        shown = tab.locator(f"figure[id$='-{picture.figure}']") if picture.figure else tab
        shown.screenshot(path=IMAGES / f"{picture.name}.png")
        tab.close()


if __name__ == "__main__":
    browser_path = shutil.which("chromium")
    if browser_path is None:
        sys.exit("no chromium is installed: the pictures cannot be taken")
    IMAGES.mkdir(exist_ok=True)
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=browser_path, args=FLAGS)
        for chosen in PICTURES:
            if not sys.argv[1:] or chosen.name in sys.argv[1:]:
                take(chosen, chromium)
        chromium.close()
