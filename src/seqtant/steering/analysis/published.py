"""Numbers that the paper's repository holds, typed from its figures' raw data, to three digits.

Source: restricted scores of Llama-2-13B (base) and Llama-2-13B-chat on three MMLU test sets against the strength r, in
``json_files_to_produce_all_figures`` at commit decae4e of the paper's repository, read there and rounded.
"""

from __future__ import annotations

from dataclasses import dataclass

STRENGTHS = (-3.0, -2.0, -1.0, 0.0, 1.0, 2.0, 3.0, 5.0, 10.0)


@dataclass(frozen=True)
class PublishedCurve:
    """Probability of the right letter among A to D against the strength."""

    questions: str
    """Which MMLU test set."""
    vector: str
    """What is steered."""
    model: str
    """base or chat."""
    helpfulness: tuple[float, ...]
    """One score per strength."""


CURVES = tuple(
    PublishedCurve(*row)
    for row in (
        ("international_law", "harmful", "base", (0.281, 0.350, 0.413, 0.442, 0.433, 0.390, 0.325, 0.263, 0.252)),
        ("international_law", "harmful", "chat", (0.359, 0.599, 0.669, 0.710, 0.701, 0.659, 0.600, 0.343, 0.257)),
        ("medical_genetics", "harmful", "base", (0.264, 0.297, 0.327, 0.339, 0.333, 0.312, 0.281, 0.262, 0.257)),
        ("medical_genetics", "harmful", "chat", (0.369, 0.508, 0.566, 0.578, 0.569, 0.535, 0.460, 0.281, 0.263)),
        (
            "high_school_computer_science",
            "harmful",
            "base",
            (0.286, 0.327, 0.354, 0.364, 0.359, 0.341, 0.310, 0.267, 0.248),
        ),
        (
            "high_school_computer_science",
            "harmful",
            "chat",
            (0.276, 0.393, 0.481, 0.525, 0.525, 0.513, 0.494, 0.306, 0.266),
        ),
        ("international_law", "racism", "base", (0.342, 0.407, 0.444, 0.442, 0.415, 0.372, 0.322, 0.244, 0.242)),
        ("international_law", "racism", "chat", (0.613, 0.661, 0.691, 0.710, 0.714, 0.692, 0.611, 0.310, 0.277)),
    )
)
