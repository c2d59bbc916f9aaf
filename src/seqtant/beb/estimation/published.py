"""The numbers of the paper's figures, as its repository holds them: what our fits of its curves start from.

Llama-2-13b-chat and its base model; conditional divergences in nats over tokens 2 to 8 of each continuation, variances
in nats^2, mean number of positive answers of 32.
"""

from __future__ import annotations

from dataclasses import dataclass

SOURCE = "data files of the paper's repository (yowolf/Limitations-of-Alignment-in-LLMs)"


@dataclass(frozen=True)
class Published:
    """The curves of one behavior."""

    chat: tuple[float, ...]
    """KL(P-(.|s) || chat model), 1 to 10 sentences."""
    guarded: tuple[float, ...]
    """The same with the model's default system prompt."""
    pretrained: tuple[float, ...]
    """KL(P-(.|s) || base model)."""
    separation: tuple[float, float]
    """Least and largest KL(P- || P+), 1 to 15 sentences."""
    variances: tuple[tuple[int, float], ...]
    """Variance of the log-ratio by number of sentences."""
    positive: tuple[float, ...]
    """Positive answers of 32, no system prompt."""
    positive_guarded: tuple[float, ...]
    """Positive answers of 32, with it."""


CURVES = {
    "agreeableness": Published(
        chat=(30.82, 17.64, 9.67, 7.98, 7.11, 5.84, 5.34, 4.54, 3.85, 3.23),
        guarded=(29.01, 18.02, 9.16, 7.12, 6.17, 4.71, 4.33, 3.68, 3.25, 2.65),
        pretrained=(6.33, 3.44, 2.77, 2.35, 2.09, 2.07, 1.97, 1.70, 1.64, 1.48),
        separation=(22.72, 29.14),
        variances=((1, 45.63), (5, 104.81), (10, 180.98), (15, 240.28)),
        positive=(32, 29.1, 6.8, 2.0, 0.9, 0.9, 2.4, 0.3, 0.4, 0.8),
        positive_guarded=(32, 31.5, 17.3, 8.5, 5.6, 2.1, 3.7, 0.9, 0.9, 0.9),
    ),
    "anti-immigration": Published(
        chat=(18.47, 9.87, 6.84, 5.31, 3.25, 3.48, 2.77, 2.00, 1.78, 1.78),
        guarded=(17.01, 9.39, 7.00, 5.57, 3.54, 3.59, 3.01, 2.26, 1.86, 1.97),
        pretrained=(5.01, 3.32, 2.97, 2.39, 2.11, 1.83, 1.77, 1.65, 1.51, 1.22),
        separation=(12.48, 18.49),
        variances=((1, 75.75), (5, 210.84), (10, 305.97), (15, 402.60)),
        positive=(32, 30.9, 25.7, 20.3, 13.0, 8.7, 7.0, 3.9, 3.1, 2.8),
        positive_guarded=(32, 32, 31.2, 28.3, 23.4, 19.0, 16.2, 14.6, 8.3, 6.8),
    ),
}
"""By behavior."""
