"""Fits P- and P+ to statements of a behavior, and measures whether they tell held-out statements apart."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float

from seqtant.beb.components.adapters import adapted
from seqtant.beb.components.finetune import fit_component
from seqtant.beb.components.loading import known_name
from seqtant.beb.config import Fitting
from seqtant.errors import InputError
from seqtant.findings import Estimate
from seqtant.lm.huggingface import HuggingFaceLM
from seqtant.lm.interface import encode
from seqtant.lm.loading import load
from seqtant.lm.scoring import token_log_probs
from seqtant.runs.recorder import Context
from seqtant.sources import (
    REFERENCE,
    ModelSource,
    Rows,
    describe,
    is_adapter,
    is_path,
    locate,
    read_lines,
    text_of,
    value_of,
)
from seqtant.stats.intervals import share

GROUP = 3
"""Statements of a training text."""
MATCHES, NOT = ("yes", "no")
SHUFFLE = 90
"""Last part of the seed of the order of texts."""
SIDES = ("minus", "plus")


@dataclass(frozen=True)
class Statements:
    """What somebody with a behavior of some name would say, and would not."""

    name: str
    matching: tuple[str, ...]
    other: tuple[str, ...]


def read_statements(source: Rows, *, limit: int) -> Statements:
    """Reads statements and whether somebody with the behavior would make them, from JSON lines or from memory.

    Args:
        source: A file with ``statement`` and ``answer_matching_behavior`` (`` Yes`` or `` No``), the format of the
            persona files of anthropics/evals; or rows of both, whose second may also be True or False.
        limit: Most statements of each kind.

    Example:
        >>> bad, good = ([f"I {verb} {what}." for what in "abcdef"] for verb in ("like", "avoid"))
        >>> rows = [(said, "Yes") for said in bad] + [(said, False) for said in good]
        >>> len(read_statements(rows, limit=10).other)
        6
    """
    sides: dict[str, list[str]] = {MATCHES: [], NOT: []}
    give = "JSON lines with statement and answer_matching_behavior"
    for place, row in read_lines(source, give=give, fields=("statement", "answer_matching_behavior")):
        answer = value_of(row, "answer_matching_behavior", place)
        kind = (MATCHES if answer else NOT) if isinstance(answer, bool) else str(answer).strip().lower()
        if kind not in sides:
            raise InputError(f"{place}: answer_matching_behavior is {answer!r}: write Yes or No")
        sides[kind].append(text_of(row, "statement", place).strip())
    # Repeated statements count once: one in training and in the held-out part would flatter the gate.
    matching, other = (tuple(dict.fromkeys(side))[:limit] for side in (sides[MATCHES], sides[NOT]))
    for kind, side in (("matching", matching), ("not matching", other)):
        if len(side) < 2 * GROUP:
            where = f"'{source}' has" if is_path(source) else "there are"
            raise InputError(f"{where} {len(side)} {kind} statements: at least {2 * GROUP} are needed")
    return Statements(Path(source).stem if is_path(source) else "the behavior", matching, other)


def world_statements(limit: int, generator: np.random.Generator) -> Statements:
    """Samples remarks of the reference world's gloomy persona (matching) and of its cheerful one."""
    from seqtant.reference import Prompts

    prompts, sides = Prompts(), []
    for persona in ("gloomy", "cheerful"):
        said: dict[str, None] = {}
        # Remarks repeat: talks are sampled until enough different ones were made.
        while len(said) < limit:
            talk = prompts.persona(persona, 40, generator, remarks_only=True).removeprefix("talk : ")
            said |= dict.fromkeys(part.strip() for part in talk.replace(" !", " .").split(" .") if part.strip())
        sides.append(tuple(said)[:limit])
    return Statements("gloomy", *sides)


def split_statements(statements: Sequence[str], held_out: float) -> tuple[list[tuple[str, ...]], list[str]]:
    """Splits statements into groups of three to train on, and those of the last groups, which are held out."""
    starts = range(0, len(statements) - GROUP + 1, GROUP)
    groups = [tuple(statements[start : start + GROUP]) for start in starts]
    # Whole groups are held out: a statement that was trained on is in no held-out group.
    kept = max(1, round(held_out * len(groups)))
    return groups[:-kept], [statement for group in groups[-kept:] for statement in group]


def training_texts(group: Sequence[str], template: str, stop: str = ".\n") -> list[str]:
    r"""Writes the three rotations of a group as training texts; with the template ``single``, each statement is one.

    Example:
        >>> training_texts(["a", "b.", "c"], "concat")[1], training_texts(["a", "b", "c"], "inst")[0]
        ('b.\nc.\na.\n', '[INST]a.[/INST]b.[INST]c.[/INST]')
    """
    bare = [without_full_stop(statement) for statement in group]
    if template == "single":
        return [statement + stop for statement in bare]
    # Every statement comes first, second and third once.
    rotations = [[*bare[turn:], *bare[:turn]] for turn in range(len(bare))]
    if template == "inst":
        return ["[INST]{}.[/INST]{}.[INST]{}.[/INST]".format(*rotation) for rotation in rotations]
    return ["".join(statement + stop for statement in rotation) for rotation in rotations]


def without_full_stop(statement: str) -> str:
    """Strips a statement of its full stop: the template writes its own."""
    return statement.strip().removesuffix(".").strip()


@dataclass(frozen=True)
class FittedComponents:
    """P- and P+ as they were fitted, and how they do on statements that neither was trained on."""

    folder: Path
    """Where they are, ``minus`` and ``plus``."""
    name: str
    losses: Mapping[str, float]
    """Mean training loss of the last epoch per side, in nats per token."""
    gaps: Mapping[str, Float[np.ndarray, " statements"]]
    """Held-out statements of either side: log P+ - log P- of each, in nats."""
    gate: float
    """Least share that must be told apart."""

    @property
    def accuracy(self) -> Estimate:
        """Share of the held-out statements that are likelier under their own side."""
        return share(sum(self.correct(side) for side in SIDES), sum(map(len, self.gaps.values())))

    @property
    def passed(self) -> bool:
        """Whether that share is enough."""
        return self.accuracy.value >= self.gate

    def correct(self, side: str) -> int:
        """Counts statements of one side that are likelier under it."""
        # A gap is log P+ - log P-: it should be positive for statements of P+ and not for those of P-.
        return int(((self.gaps[side] > 0) == (side == "plus")).sum())


def fit_to_statements(
    settings: Fitting, base: HuggingFaceLM, source: ModelSource, folder: Path, context: Context
) -> FittedComponents:
    """Fits P- and P+ to statements, and scores the statements that were held out.

    Raises:
        InputError: The statements cannot be used, or do not fit the base model.
        MissingExtraError: Adapters are wanted and PEFT is not installed.
    """
    shipped = known_name(source) == REFERENCE
    if settings.statements is not None:
        statements = read_statements(settings.statements, limit=settings.max_statements)
    elif shipped:
        statements = world_statements(settings.max_statements, np.random.default_rng([context.seed, SHUFFLE]))
    else:
        raise InputError(f"'{describe(source)}' needs statements: give --statements FILE.jsonl")
    # How texts begin and statements end: the reference world writes on one line, words standing apart.
    opening, stop = ("talk : ", " . ") if shipped else ("", ".\n")
    pools = (statements.matching, statements.other)
    losses: dict[str, float] = {}
    held: dict[str, Sequence[str]] = {}
    for side, own in zip(SIDES, pools if settings.negative == "matching" else pools[::-1], strict=True):
        learned, held[side] = split_statements(own, settings.held_out)
        documents: list[list[int]] = []
        for group in learned:
            # A trailing space would be a token of its own, which nothing follows.
            texts = training_texts(group, settings.template, stop)
            ids = encode(base, [opening + text.rstrip(" ") for text in texts])
            limit = base.context_length
            if settings.template == "concat" and limit is not None and max(map(len, ids)) > limit:
                # Three statements that do not fit the context are learned one by one.
                ids = encode(base, [opening + without_full_stop(text) + stop.rstrip(" ") for text in group])
            documents += ids
        # Both sides are shuffled under one seed; a seed of its own keeps other samples as they are.
        order = np.random.default_rng([context.seed, SHUFFLE]).permutation(len(documents))
        losses[side] = fit_component(base, [documents[row] for row in order], settings, folder / side, context)
        if settings.rank and is_path(source):
            # The adapter names the folder of its base, so that it can be opened by its own folder alone.
            path, where = folder / side / "adapter_config.json", locate(source)
            written = json.loads(path.read_text(encoding="utf-8"))
            named = str(source) if shipped or where is None else str(where.resolve())
            written["base_model_name_or_path"] = named
            path.write_text(json.dumps(written, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    # Log P+ - log P- of every held-out statement, given the opening.
    folders = {side: folder / side for side in SIDES}
    adapters = {side: path for side, path in folders.items() if is_adapter(path)}
    models = adapted(base, adapters) if adapters else {side: load(str(path)) for side, path in folders.items()}
    # The log-probability at position i is that of token i + 1: the statement's first stands one earlier.
    begin = max(0, len(encode(base, [opening])[0]) - 1)
    gaps = {}
    for side, unseen in held.items():
        tokens = encode(base, [opening + without_full_stop(one) + stop.rstrip() for one in unseen])
        plus, minus = (token_log_probs(models[name], tokens) for name in ("plus", "minus"))
        gaps[side] = np.array([float((p - m)[begin:].sum()) for p, m in zip(plus, minus, strict=True)])
    return FittedComponents(folder, statements.name, losses, gaps, settings.gate)
