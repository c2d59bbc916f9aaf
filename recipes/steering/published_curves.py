"""Fits the theory's curves to the authors' own numbers: is their loss quadratic, does a local law find their strengths?

``python recipes/steering/published_curves.py`` shows what follows from all curves; ``--keep`` also writes the record
that the claims read, ``results/steering/published-curves.json``. No model is run. The strength at which a budget is
really spent is interpolated on each curve between the printed strengths.

Source of the numbers: restricted scores of Llama-2-13B (base) and Llama-2-13B-chat on three MMLU test sets against the
strength r, in ``json_files_to_produce_all_figures`` at commit decae4e of the paper's repository, read there and rounded
to three digits.
"""

from __future__ import annotations

import itertools
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from seqtant.errors import InputError
from seqtant.findings import Estimate, Result
from seqtant.runs.recorder import Context, Recorder
from seqtant.stats.intervals import percentile
from seqtant.steering.theory import budget_strength, fit_bell, fit_local_law, loss_order, symmetric_loss

COMPUTERS = "high_school_computer_science"
BUDGET = 0.10
NEAR = 2.0
"""Largest strength from which the local law is fitted."""
STRENGTHS = (-3.0, -2.0, -1.0, 0.0, 1.0, 2.0, 3.0, 5.0, 10.0)
"""Steering coefficients of the published curves."""


CURVES = (
    ("international_law", "harmful", "base", (0.281, 0.350, 0.413, 0.442, 0.433, 0.390, 0.325, 0.263, 0.252)),
    ("international_law", "harmful", "chat", (0.359, 0.599, 0.669, 0.710, 0.701, 0.659, 0.600, 0.343, 0.257)),
    ("medical_genetics", "harmful", "base", (0.264, 0.297, 0.327, 0.339, 0.333, 0.312, 0.281, 0.262, 0.257)),
    ("medical_genetics", "harmful", "chat", (0.369, 0.508, 0.566, 0.578, 0.569, 0.535, 0.460, 0.281, 0.263)),
    (COMPUTERS, "harmful", "base", (0.286, 0.327, 0.354, 0.364, 0.359, 0.341, 0.310, 0.267, 0.248)),
    (COMPUTERS, "harmful", "chat", (0.276, 0.393, 0.481, 0.525, 0.525, 0.513, 0.494, 0.306, 0.266)),
    ("international_law", "racism", "base", (0.342, 0.407, 0.444, 0.442, 0.415, 0.372, 0.322, 0.244, 0.242)),
    ("international_law", "racism", "chat", (0.613, 0.661, 0.691, 0.710, 0.714, 0.692, 0.611, 0.310, 0.277)),
)
"""MMLU test set, what is steered, base or chat model, and the probability of the right letter at each strength."""


@dataclass(frozen=True)
class _Fitted:
    order: float
    bell_r2: float | None
    measured: float | None
    """Strength above 0 at which the budget is spent, along straight lines between printed strengths."""
    both: float
    quadratic: float


def refit() -> Result:
    """Fits the order of the loss, and a law with and without a linear term to the strength for a budget of 10 %.

    Returns:
        Medians over the curves.
    """
    context = Context(command="python recipes/steering/published_curves.py")
    with Recorder("steering.published_curves", "The authors' curves, fitted again", {}, context, papers=(1,)) as record:
        rows: list[tuple[tuple[str, str, str], _Fitted]] = []
        for questions, vector, model, printed in CURVES:
            scores = np.array(printed)
            losses = symmetric_loss(STRENGTHS, scores)
            inside = [index for index, value in enumerate(STRENGTHS) if abs(value) <= 5]
            places = [STRENGTHS[index] for index in inside]
            try:
                bell = fit_bell(places, scores[inside], 0.25).r_squared
            except InputError:
                bell = None
            near = [index for index, value in enumerate(STRENGTHS) if abs(value) <= NEAR]
            law = fit_local_law([STRENGTHS[index] for index in near], scores[near], 0.0)
            zero = STRENGTHS.index(0.0)
            goal = scores[zero] * (1 - BUDGET)
            spent = next(
                (
                    float(left + (scores[index] - goal) / (scores[index] - scores[index + 1]) * (right - left))
                    for index, (left, right) in enumerate(itertools.pairwise(STRENGTHS))
                    if index >= zero and scores[index] > goal >= scores[index + 1]
                ),
                None,
            )
            fitted = _Fitted(
                loss_order(float(losses[1.0]), float(losses[2.0])),
                bell,
                spent,
                float(law.strength(BUDGET, 1)),
                float(budget_strength(0.0, law.quadratic, BUDGET)),
            )
            rows.append(((questions, vector, model), fitted))
        _record(record, rows, context)
    return record.result


def _record(record: Recorder, rows: list[tuple[tuple[str, str, str], _Fitted]], context: Context) -> None:
    orders = np.array([row.order for _, row in rows])
    generator = np.random.default_rng([context.seed, 50])
    draws = np.median(generator.choice(orders, size=(1000, len(orders))), axis=1)
    order = percentile(float(np.median(orders)), draws, method="bootstrap over curves", n=len(orders))
    found = [row for _, row in rows if row.measured is not None]
    both, pure = (
        float(np.median([abs(getattr(row, name) / (row.measured or np.nan) - 1) for row in found]))
        for name in ("both", "quadratic")
    )
    record.value("curves", len(rows))
    record.value("loss_ratio_log2", order.value)
    record.value("error_linear_quadratic", both)
    record.value("error_quadratic", pure)
    record.finding(
        "order",
        "Do the authors' models lose helpfulness quadratically?",
        "agrees" if 1.8 <= order.value <= 2.3 else "disagrees",
        f"From strength 1 to 2 the symmetric loss grows by 2^{order.value:.2f} in the median of {len(rows)} curves.",
        predicted=Estimate.exact(2.0),
        measured=order,
    )
    record.finding(
        "linear_term",
        "Does the purely quadratic law of the paper find the strength for a budget on a concrete task?",
        "agrees" if pure <= 0.1 else "disagrees",
        f"A budget of {100 * BUDGET:g} %: median error {100 * pure:.0f} % with the quadratic term alone, "
        f"{100 * both:.0f} % with a linear term beside it.",
        advice="`steering choose` fits both terms.",
    )
    record.table(
        "curves",
        "Each curve",
        ("questions", "vector", "model", "order", "bell R2", "spent at", "linear + quadratic", "quadratic"),
        [
            (
                *curve,
                round(row.order, 3),
                None if row.bell_r2 is None else round(row.bell_r2, 4),
                None if row.measured is None else round(row.measured, 3),
                round(row.both, 3),
                round(row.quadratic, 3),
            )
            for curve, row in rows
        ],
        note=f"Spent at: strength at which {100 * BUDGET:g} % are lost, read off the curve. Laws are fitted to |r| <= "
        f"{NEAR:g}, the bell to |r| <= 5 with its floor at chance.",
    )


if __name__ == "__main__":
    result = refit()
    sys.stdout.write(f"{result}\n")
    if "--keep" in sys.argv:
        result.save(Path(__file__).parents[2] / "results" / "steering" / "published-curves.json")
