"""Fits P- and P+ to statements of a behavior, and sees whether they tell held-out statements apart."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float

from seqtant.beb.components.adapters import adapted, is_adapter
from seqtant.beb.components.finetune import fit_side
from seqtant.beb.components.statements import Statements, bare, groups, read_statements, texts, world_statements
from seqtant.beb.fitting_settings import Fitting
from seqtant.errors import InputError
from seqtant.findings import Cell, Estimate
from seqtant.lm.folder import REFERENCE, locate
from seqtant.lm.huggingface import HuggingFaceLM
from seqtant.lm.loading import load
from seqtant.lm.scoring import token_log_probs
from seqtant.lm.text import encode
from seqtant.runs.context import Context
from seqtant.runs.recorder import Recorder
from seqtant.stats.intervals import share

SHUFFLE = 90
"""Last part of the seed of the order of texts."""
SIDES = ("minus", "plus")


@dataclass(frozen=True)
class Fitted:
    """Two adapters, and how they do on statements that neither has seen."""

    folder: Path
    """Where they are, ``minus`` and ``plus``."""
    name: str
    """What the behavior is called."""
    losses: Mapping[str, float]
    """Mean training loss of the last epoch per side, in nats per token."""
    gaps: Mapping[str, Float[np.ndarray, " statements"]]
    """Held-out statements of either side: how much likelier P+ finds each than P-, in nats."""
    gate: float
    """Least share that must be told apart."""

    @property
    def told_apart(self) -> Estimate:
        """Share of the held-out statements that are likelier under their own side."""
        return share(sum(self.right(side) for side in SIDES), sum(map(len, self.gaps.values())))

    @property
    def passed(self) -> bool:
        """Whether that is enough."""
        return self.told_apart.value >= self.gate

    def right(self, side: str) -> int:
        """Statements of one side that are likelier under it."""
        return int(((self.gaps[side] > 0) == (side == "plus")).sum())


def fit_sides(config: Fitting, base: HuggingFaceLM, source: str, folder: Path, context: Context) -> Fitted:
    """Fits both sides.

    Args:
        config: Statements, adapters, course, gate.
        base: The base model; it stays as it is.
        source: Where it was opened from; the adapters name it.
        folder: Where the adapters go.
        context: Seed and progress.

    Raises:
        InputError: The statements cannot be used, or do not fit the base model.
        MissingExtraError: Adapters are wanted and PEFT is not installed.
    """
    statements = _statements(config, source, np.random.default_rng([context.seed, SHUFFLE]))
    said = (statements.matching, statements.other)
    if config.negative == "not matching":
        said = said[::-1]
    losses: dict[str, float] = {}
    held: dict[str, Sequence[str]] = {}
    form = _form(source)
    for side, own in zip(SIDES, said, strict=True):
        learned, held[side] = split(own, config.held_out)
        losses[side] = _fit(config, base, learned, form, folder / side, context)
        if config.rank:
            _name_base(folder / side, source)
    return Fitted(folder, statements.name, losses, _gaps(base, folder, held, form), config.gate)


def split(said: Sequence[str], held_out: float) -> tuple[list[tuple[str, ...]], list[str]]:
    """Groups of three to learn from, and the statements of the last groups, which are held out.

    Example:
        >>> split(list("abcdefgh"), 0.5)
        ([('a', 'b', 'c')], ['d', 'e', 'f'])
    """
    grouped = groups(said)
    kept = max(1, round(held_out * len(grouped)))
    return grouped[:-kept], [statement for group in grouped[-kept:] for statement in group]


def _statements(config: Fitting, source: str, generator: np.random.Generator) -> Statements:
    if config.behavior is not None:
        return read_statements(config.behavior, limit=config.statements)
    if source != REFERENCE:
        raise InputError(f"'{source}' needs statements: give --behavior FILE.jsonl")
    return world_statements(config.statements, generator)


def _form(source: str) -> tuple[str, str]:
    """How a text begins and how its statements end: the reference world writes on one line, words standing apart."""
    return ("talk : ", " . ") if source == REFERENCE else ("", ".\n")


def _fit(
    config: Fitting,
    base: HuggingFaceLM,
    learned: Sequence[tuple[str, ...]],
    form: tuple[str, str],
    folder: Path,
    context: Context,
) -> float:
    """Trains one side on its groups of statements, in an order of chance."""
    opening, stop = form
    made: list[list[int]] = []
    for group in learned:
        whole = encode(base, [opening + text.rstrip(" ") for text in texts(group, config.template, stop)])
        if (
            config.template == "concat"
            and base.context_length is not None
            and max(map(len, whole)) > base.context_length
        ):
            # Three statements that do not fit the context are learned one by one.
            whole = encode(base, [opening + bare(said) + stop.rstrip(" ") for said in group])
        made += whole
    order = np.random.default_rng([context.seed, SHUFFLE]).permutation(len(made))
    return fit_side(base, [made[number] for number in order], config, folder, context)


def _name_base(adapter: Path, base: str) -> None:
    """Writes into the adapter where its base lies, so that it can be opened by its folder alone."""
    path = adapter / "adapter_config.json"
    settings = json.loads(path.read_text(encoding="utf-8"))
    where = locate(base)
    settings["base_model_name_or_path"] = base if base == REFERENCE or where is None else str(where.resolve())
    path.write_text(json.dumps(settings, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def _gaps(
    base: HuggingFaceLM, folder: Path, held: Mapping[str, Sequence[str]], form: tuple[str, str]
) -> dict[str, Float[np.ndarray, " statements"]]:
    places = {side: folder / side for side in SIDES}
    small = {side: place for side, place in places.items() if is_adapter(place)}
    sides = adapted(base, small) if small else {side: load(str(place)) for side, place in places.items()}
    opening, stop = form
    begin = max(0, len(encode(base, [opening])[0]) - 1)
    found = {}
    for side, said in held.items():
        ids = encode(base, [opening + bare(one) + stop.rstrip() for one in said])
        plus, minus = (token_log_probs(sides[name], ids) for name in ("plus", "minus"))
        found[side] = np.array([float((p - m)[begin:].sum()) for p, m in zip(plus, minus, strict=True)])
    return found


def record_fit(record: Recorder, fitted: Fitted) -> None:
    """The finding on the gate, and the table behind it."""
    told = fitted.told_apart
    record.value("told_apart", told.value)
    record.value("told_apart_passed", int(fitted.passed))
    rows: list[tuple[Cell, ...]] = [
        (side, len(gaps), round(fitted.right(side) / len(gaps), 4), round(float(gaps.mean()), 3))
        for side, gaps in fitted.gaps.items()
    ]
    columns = ("statements of", "held out", "told apart", "mean log P+/P-, nats")
    record.table("held_out", f"Held-out statements of {fitted.name}", columns, rows)
    record.finding(
        "gate",
        f"Do P+ and P- tell at least {100 * fitted.gate:g} % of held-out statements apart?",
        "agrees" if fitted.passed else "disagrees",
        f"{100 * told.value:.1f} % of {told.n}, by likelihood."
        + (
            ""
            if fitted.passed
            else " These parts are no stand-in for the behavior: train longer, or take a larger base model."
        ),
        predicted=Estimate.exact(fitted.gate, method="wanted"),
        measured=told,
    )
