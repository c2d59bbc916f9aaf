"""Draws how sure a prompt makes of its task, shot by shot."""

from __future__ import annotations

from typing import Any

from seqtant.findings import Result
from seqtant.icl.drawings.series import groups, points, table_of
from seqtant.report.figures import Figure, axes, line


def figures(result: Result) -> list[Figure]:
    """One line per task; what was read off the answers is dotted."""
    names = groups(result, "posterior")
    data: list[dict[str, Any]] = []
    for color, name in enumerate(names):
        data += line(*points(result, "posterior", name), name, color=color)
        if result.series("posterior_read", name):
            x, y = points(result, "posterior_read", name)
            data += line(x, y, f"{name}, from answers", color=color, dash="dot", mode="markers+lines")
    table = next(name for name in ("tasks", "posterior") if any(t.name == name for t in result.tables))
    return [
        Figure(
            name="posterior",
            title="How sure the prompt makes of its task",
            caption="Posterior of the true task from the evidence of single examples, mean over prompts; dotted: read "
            "off the model's answers. For one given prompt: the posterior of every task.",
            alt=f"Posterior against shots for {len(names)} tasks.",
            data=data,
            layout=axes("shots", "posterior", yaxis={"range": [0, 1.02]}),
            table=table_of(result, table),
        )
    ]
