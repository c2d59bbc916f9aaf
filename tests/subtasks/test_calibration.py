"""The forecast of a probe against trainings that are kept."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from seqtant.subtasks.instruments.probe import UPDATES_PER_UNIT

RESULTS = Path(__file__).parents[2] / "benchmarks" / "results"
CALIBRATION = json.loads((RESULTS / "subtasks_probe.json").read_text(encoding="utf-8"))["cases"]


@pytest.mark.parametrize("case", CALIBRATION.values(), ids=CALIBRATION)
def test_the_forecast_is_that_of_the_kept_trainings(case):
    """Updates until each step was learned over the updates that show it, as benchmarks/subtasks_probe measured them."""
    ratios = [step["updates"] / step["unit"] for step in case["steps"]]
    assert UPDATES_PER_UNIT / 4 < np.median(ratios) < 4 * UPDATES_PER_UNIT
