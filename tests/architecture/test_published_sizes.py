"""Counted parameters against the sizes that publishers of language models state, total and active.

``published.yaml`` holds the configurations, where they were read, and what the publishers leave out of their numbers.
"""

from __future__ import annotations

import json
from decimal import ROUND_HALF_EVEN, Decimal
from pathlib import Path
from typing import Any

import pytest
import yaml

from seqtant import architecture

PUBLISHED: dict[str, dict[str, Any]] = yaml.safe_load(
    (Path(__file__).parent / "published.yaml").read_text(encoding="utf-8")
)


def rounded(count: int, published: float, step: int | None = None) -> Decimal:
    """Billions of a count, to the digit that a published number shows or to ``step``."""
    unit = Decimal(step) if step else Decimal(1).scaleb(Decimal(str(published)).as_tuple().exponent)
    return (Decimal(count) / 10**9 / unit).quantize(Decimal(1), ROUND_HALF_EVEN) * unit


@pytest.mark.parametrize("name", PUBLISHED)
def test_counts_agree_with_the_published_sizes(name: str, tmp_path: Path) -> None:
    model = PUBLISHED[name]
    path = tmp_path / "config.json"
    path.write_text(json.dumps(model["config"]), encoding="utf-8")
    values = architecture.audit(path).values
    total, active, bare = (
        values[key] for key in ("parameters", "active_parameters", "active_non_embedding_parameters")
    )
    assert (total, active, bare) == (
        model["counted_total"],
        model["counted_active"],
        model["counted_active_non_embedding"],
    )

    beside = model.get("beside", {})
    if "total_exact" in model:
        assert total + sum(beside.values()) == model["total_exact"]
    # Round numbers leave out scales, copies and further layers that the files hold, unless total_beside names them.
    held = total + sum(beside[part] for part in model.get("total_beside", ()))
    if model.get("total_convention") == "without embeddings":
        held -= values["embedding_parameters"] + values["head_parameters"]
    assert rounded(held, model["total"], model.get("total_step")) == Decimal(str(model["total"]))

    used = {
        "with embeddings": active,
        "without embeddings": bare,
        "with the head alone": active - values["embedding_parameters"],
    }[model["convention"]]
    used += sum(beside[part] for part in model.get("active_beside", ()))
    assert rounded(used, model["active"]) == Decimal(str(model["active"]))
