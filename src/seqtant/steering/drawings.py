"""Draws results: the course of a training, both sides of a sweep, a choice, a diagnosis, a comparison of layers."""

from __future__ import annotations

from typing import Any

import numpy as np

from seqtant.findings import Result, Table
from seqtant.report.figures import COLORS, Figure, axes, line


def train(result: Result) -> list[Figure]:
    """Draws the training loss against the step, beside the loss on held-out text."""
    steps, losses = _series(result, "loss")
    held_out, rows = float(result.values["held_out_loss"] or 0), tuple(zip(steps, losses, strict=True))
    return [
        Figure(
            name="training",
            title=f"{held_out:.2f} nats per token on texts that the model never saw",
            caption="Training loss, averaged over blocks of steps; the dashed line is the held-out loss at the end.",
            alt=f"Training loss from {losses[0]:.2f} to {losses[-1]:.2f} nats per token over {steps[-1]:.0f} steps.",
            data=[
                *line(steps, losses, "training", color=0),
                *line([steps[0], steps[-1]], [held_out] * 2, "held out", color=1, dash="dash", mode="lines"),
            ],
            layout=axes("step", "nats per token"),
            table=Table(name="training", title="Training loss", columns=("step", "loss"), rows=rows),
        )
    ]


def sweep(result: Result) -> list[Figure]:
    """Draws alignment and helpfulness against the strength, and the one against the other."""
    strengths, alignment = _series(result, "alignment")
    _, helpfulness = _series(result, "helpfulness")
    table = _table(result, "tradeoff")
    curves = [
        *_with_band(result, "alignment", "alignment", color=0),
        *_with_band(result, "helpfulness", "helpfulness", color=1),
    ]
    slope, offset = result.values.get("tanh_slope"), result.values.get("tanh_offset")
    if slope is not None and offset is not None:
        x = np.linspace(strengths[0], strengths[-1], 81)
        fitted = np.tanh(slope * x + offset)
        curves += line(x.tolist(), fitted.tolist(), "fitted S", color=0, dash="dash", mode="lines")
    return [
        Figure(
            name="curves",
            title=f"Alignment runs from {min(alignment):.2f} to {max(alignment):.2f} while helpfulness falls from "
            f"{max(helpfulness):.2f} to {min(helpfulness):.2f}",
            caption="Alignment (good minus bad over good plus bad replies) and helpfulness (right answers) at every "
            "strength; bands are 95 % intervals over prompts and items, dashes the fitted S.",
            alt=f"Alignment and helpfulness at {len(strengths)} strengths from {strengths[0]:.3g} to "
            f"{strengths[-1]:.3g}.",
            data=curves,
            layout=axes("strength (length in the hidden space)", "score"),
            table=table,
        ),
        Figure(
            name="tradeoff",
            title="What alignment costs in helpfulness",
            caption="Every point is one strength; its label tells which. Up and to the right is better.",
            alt=f"Helpfulness against alignment at {len(strengths)} strengths.",
            data=[
                {
                    "type": "scatter",
                    "name": "strengths",
                    "x": alignment,
                    "y": helpfulness,
                    "mode": "lines+markers",
                    "text": [f"strength {value:.3g}" for value in strengths],
                    "line": {"color": COLORS[0]},
                }
            ],
            layout=axes("alignment", "helpfulness"),
            table=table,
        ),
    ]


def choose(result: Result) -> list[Figure]:
    """Draws alignment on both halves with the advised strength, and the loss with the law and the budget."""
    values = result.values
    edge, advised = float(values["edge"] or 0), values["strength"]
    budget, reach = float(result.config["budget"]), 1.25 * abs(edge)
    told = f"Strength {advised:.4g}" if advised is not None else "No strength"
    marks = {"spent at": edge} | ({"advised": float(advised)} if advised is not None else {})
    linear, quadratic = float(values["linear"] or 0), float(values["quadratic"] or 0)
    grid = np.linspace(-reach, reach, 81)
    panels: dict[str, list[dict[str, Any]]] = {"helpfulness": [], "alignment": []}
    for color, (half, name) in enumerate((("fitting", "fitting half"), ("held_out", "held-out half"))):
        x, y = _series(result, f"{half}_helpfulness")
        base = y[x.index(0.0)]
        panels["helpfulness"] += line(x, [1 - value / base for value in y], name, color=color, mode="markers")
        panels["alignment"] += line(*_series(result, f"{half}_alignment"), name, color=color, mode="lines+markers")
    law = -np.expm1(linear * grid + quadratic * grid**2)
    panels["helpfulness"] += line(grid.tolist(), law.tolist(), "law, fitted last", color=2, mode="lines")
    panels["helpfulness"].append(_rule("budget", [-reach, reach], [budget, budget]))
    for name, place in marks.items():
        panels["helpfulness"].append(_rule(name, [place, place], [0.0, 2 * budget]))
        panels["alignment"].append(_rule(name, [place, place], [-1.0, 1.0]))
    strength = "strength (length in the hidden space)"
    return [
        Figure(
            name="alignment",
            title=f"{told} aligns best within the budgets",
            caption="Alignment of both halves of the prompts. The vertical lines are the advised strength and the one "
            "that spends the budget of helpfulness, beyond which nothing is advised.",
            alt=f"Alignment against the strength; {told.lower()} is advised.",
            data=panels["alignment"],
            layout=axes(strength, "alignment"),
            table=_table(result, "strengths"),
        ),
        Figure(
            name="loss",
            title=f"A budget of {100 * budget:g} % is spent at {edge:.4g}: held-out items lose "
            f"{100 * float(values['edge_loss'] or 0):.2f} % there",
            caption="Relative loss of helpfulness. The curve is the law as it was fitted last; the horizontal line is "
            "the budget.",
            alt=f"Loss of helpfulness against the strength; the budget is spent at about {edge:.4g}.",
            data=panels["helpfulness"],
            layout=axes(strength, "loss", yaxis={"tickformat": ".1%"}),
            table=_table(result, "held_out"),
        ),
    ]


def _rule(name: str, x: list[float], y: list[float]) -> dict[str, Any]:
    """A dotted line."""
    return {
        "type": "scatter",
        "name": name,
        "x": x,
        "y": y,
        "mode": "lines",
        "line": {"color": COLORS[3], "dash": "dot"},
    }


def diagnose(result: Result) -> list[Figure]:
    """Draws the norm of the logits' change and the noise of wrong answers, beside straight lines."""
    strengths, norms = _series(result, "logit_norm")
    _, noise = _series(result, "noise")
    slopes = {"norm": result.values.get("norm_slope"), "noise": result.values.get("noise_slope")}
    data = line(strengths, norms, "change of the logits (norm)", color=0)
    if noise:
        data += line(strengths, noise, "noise on wrong answers (deviation)", color=1)
    for color, (name, slope) in enumerate(slopes.items()):
        if slope is not None:
            straight = [slope * value for value in strengths]
            data += line(strengths, straight, f"{name}, in proportion", color=color, dash="dash", mode="lines")
    reach = float(result.values.get("norm_range") or 0)
    columns = ("strength", "norm of the change") + (("noise",) if noise else ())
    rows = list(zip(strengths, norms, noise, strict=True)) if noise else list(zip(strengths, norms, strict=True))
    return [
        Figure(
            name="assumptions",
            title=f"The logits change in proportion to the strength up to {reach:.3g}",
            caption="Both quantities should follow their dashed lines where the theory applies.",
            alt=f"Norm of the logits' change and noise on wrong answers at {len(strengths)} strengths.",
            data=data,
            layout=axes("strength (length in the hidden space)", "nats"),
            table=Table(name="assumptions", title="What was measured", columns=columns, rows=tuple(rows)),
        )
    ]


def layers(result: Result) -> list[Figure]:
    """Draws the gain of every block before the budget is spent."""
    blocks, gains = _series(result, "gain")
    best = result.values["best_layer"]
    return [
        Figure(
            name="gains",
            title=f"Steering gains most in block {best}" if best is not None else "Steering gains in no block",
            caption="Largest measured change of alignment within the budgets, steering one block alone; bands are 95 % "
            "intervals over prompts.",
            alt="Gain of alignment by block: "
            + ", ".join(f"{block:.0f}: {gain:.3f}" for block, gain in zip(blocks, gains, strict=True)),
            data=_with_band(result, "gain", "gain"),
            layout=axes("block", "change of alignment"),
            table=_table(result, "layers"),
        )
    ]


def _series(result: Result, key: str) -> tuple[list[float], list[float]]:
    """Steps and values of one measured quantity, ascending in the step."""
    rows = sorted((row.step or 0.0, row.value) for row in result.series(key))
    return [step for step, _ in rows], [value for _, value in rows]


def _with_band(result: Result, key: str, name: str, *, color: int = 0) -> list[dict[str, Any]]:
    """A line with its interval, where one was measured at every step."""
    x, y = _series(result, key)
    low, high = _series(result, f"{key}_low")[1], _series(result, f"{key}_high")[1]
    whole = len(low) == len(high) == len(y)
    return line(x, y, name, color=color, low=low if whole else None, high=high if whole else None)


def _table(result: Result, name: str) -> Table:
    return next(table for table in result.tables if table.name == name)
