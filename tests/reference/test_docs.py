"""The page about the reference model shows the truths of today's world, number by number."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from seqtant.findings import format_number
from seqtant.reference.config import DescribeConfig
from seqtant.reference.instruments.describe import describe_world
from seqtant.runs.recorder import Context

PAGE = Path(__file__).parents[2] / "docs" / "reference-model.md"


@pytest.mark.parametrize("name", ["personas", "lengths", "tasks", "facts"])
def test_the_page_shows_every_row(name: str, described):
    page = {" ".join(row.split()) for row in PAGE.read_text(encoding="utf-8").splitlines()}
    table = next(table for table in described.tables if table.name == name)
    for row in table.rows:
        cells = (format_number(cell) if isinstance(cell, (int, float)) else str(cell) for cell in row)
        assert " ".join(cells) in page


@pytest.fixture(scope="module")
def described():
    return describe_world.run(DescribeConfig(), Context())


def test_the_page_tells_the_cost_of_answers_at_once(world):
    """At most log 10 for every answer at once, as the page says, by drawing documents."""
    documents = world.draw(4000, np.random.default_rng(12), longest=256)
    at_once = tokens = 0
    for document in documents:
        tokens += len(document.tokens) - 1
        if document.kind == "sums":
            text = world.words(document.tokens.tolist())
            at_once += sum(" makes " not in item for item in text.split("add ")[1:] if "answer" in item)
    assert at_once * np.log(10) / tokens == pytest.approx(0.0035, abs=0.0008)
