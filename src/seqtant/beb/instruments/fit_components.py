"""Fits P- and P+ from statements of a behaviour: two LoRA adapters, and whether they tell held-out ones apart."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from seqtant.beb.adapters import adapted
from seqtant.beb.config import FitComponentsConfig
from seqtant.beb.lora import fit_adapter
from seqtant.beb.statements import Statements, bare, groups, read_statements, texts, world_statements
from seqtant.errors import InputError
from seqtant.findings import Estimate, Result
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


def run(config: FitComponentsConfig, context: Context) -> Result:
    """Fits both parts and holds them against the gate.

    Raises:
        InputError: Base model or statements cannot be used.
        MissingExtraError: PEFT is not installed.
    """
    title = f"P- and P+ on {config.base}"
    with Recorder("beb.fit-components", title, config, context, papers=(3,)) as record:
        generator = np.random.default_rng([context.seed, SHUFFLE])
        statements = _statements(config, generator)
        bad, good = (statements.matching, statements.other)
        if config.negative == "not matching":
            bad, good = good, bad
        base = load(config.base, device=context.device)
        place = _place(config, context)
        with tempfile.TemporaryDirectory() as scratch:
            folder = place or Path(scratch)
            held = [
                _fit(record, config, context, base, side, said, folder)
                for side, said in zip(SIDES, (bad, good), strict=True)
            ]
            _gate(record, config, base, folder, held, statements.name)
        if place is None:
            record.warn("the adapters were not kept: give --to DIR or --out DIR")
        else:
            for side in SIDES:
                record.artifact(place / side / "adapter_model.safetensors", "adapter")
    return record.result


def _statements(config: FitComponentsConfig, generator: np.random.Generator) -> Statements:
    if config.behavior is not None:
        return read_statements(config.behavior, limit=config.statements)
    if config.base != REFERENCE:
        raise InputError(f"'{config.base}' needs statements: give --behavior FILE.jsonl")
    return world_statements(config.statements, generator)


def _place(config: FitComponentsConfig, context: Context) -> Path | None:
    return Path(config.to).expanduser() if config.to else context.folder


def _fit(
    record: Recorder,
    config: FitComponentsConfig,
    context: Context,
    base: HuggingFaceLM,
    side: str,
    said: Sequence[str],
    folder: Path,
) -> list[str]:
    """Trains one side on most groups of statements; returns the statements of the others."""
    grouped = groups(said)
    kept = max(1, round(config.held_out * len(grouped)))
    train, held = grouped[:-kept], grouped[-kept:]
    opening, stop = _form(config)
    made = [opening + text.rstrip(" ") for group in train for text in texts(group, config.template, stop)]
    order = np.random.default_rng([context.seed, SHUFFLE]).permutation(len(made))
    documents = encode(base, [made[number] for number in order])
    loss = fit_adapter(base, documents, config, folder / side, context)
    _name_base(folder / side, config.base)
    record.value(f"loss_{side}", loss)
    return [statement for group in held for statement in group]


def _form(config: FitComponentsConfig) -> tuple[str, str]:
    """How a text begins and how its statements end: the reference world writes on one line, words standing apart."""
    return ("talk : ", " . ") if config.base == REFERENCE else ("", ".\n")


def _name_base(adapter: Path, base: str) -> None:
    """Writes into the adapter where its base lies, so that it can be opened by its folder alone."""
    path = adapter / "adapter_config.json"
    settings = json.loads(path.read_text(encoding="utf-8"))
    where = locate(base)
    settings["base_model_name_or_path"] = base if base == REFERENCE or where is None else str(where.resolve())
    path.write_text(json.dumps(settings, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def _gate(
    record: Recorder,
    config: FitComponentsConfig,
    base: HuggingFaceLM,
    folder: Path,
    held: Sequence[Sequence[str]],
    name: str,
) -> None:
    sides = adapted(base, {side: folder / side for side in SIDES})
    opening, stop = _form(config)
    right, rows = [], []
    for side, said in zip(SIDES, held, strict=True):
        given, ids = encode(base, [opening])[0], encode(base, [opening + bare(said_) + stop.rstrip() for said_ in said])
        scores = [token_log_probs(sides[name], ids) for name in ("plus", "minus")]
        begin = max(0, len(given) - 1)
        gap = np.array([float((plus - minus)[begin:].sum()) for plus, minus in zip(*scores, strict=True)])
        hits = (gap > 0) if side == "plus" else (gap < 0)
        right += hits.tolist()
        rows.append((side, len(said), round(float(hits.mean()), 4), round(float(gap.mean()), 3)))
    told = share(sum(right), len(right))
    record.value("told_apart", told.value)
    record.value("gate", config.gate)
    record.value("passed", int(told.value >= config.gate))
    columns = ("statements of", "held out", "told apart", "mean log P+/P-, nats")
    record.table("held_out", f"Held-out statements of {name}", columns, rows)
    passed = told.value >= config.gate
    record.finding(
        "gate",
        f"Do P+ and P- tell at least {100 * config.gate:g} % of held-out statements apart?",
        "agrees" if passed else "disagrees",
        f"{100 * told.value:.1f} % of {len(right)}, by likelihood."
        + (
            ""
            if passed
            else " These parts are no stand-in for the behaviour: train longer, or take a larger base model."
        ),
        predicted=Estimate.exact(config.gate, method="wanted"),
        measured=told,
    )
