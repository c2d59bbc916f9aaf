"""Two facts about one entity, shown in one example or in two: which training lets a decoder join them?

"e r1 a" and "a r2 b" are shown for every entity e; the joined fact "e r12 b" for half of them. Asked for the other
half, a model can only answer by joining. The order of the two facts and their positions in the row are random, so that
arms differ only in which facts share a row.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from jaxtyping import Int

from seqtant.findings import Assumption, Estimate, Result, Verdict
from seqtant.models.decoder import Decoder
from seqtant.models.decoder_config import DecoderConfig
from seqtant.pretraining.config import ComposeConfig
from seqtant.progress import track
from seqtant.runs.recorder import Context, Recorder
from seqtant.runs.verb import verb
from seqtant.stats.intervals import mean
from seqtant.training import TrainingConfig, train

ComposeArm = Literal["knn", "split", "random"]
ARMS: tuple[ComposeArm, ...] = ("knn", "split", "random")
_TITLES = {"knn": "both facts in one example", "split": "in two examples", "random": "with another entity's"}

LENGTH = 8
"""Tokens of a row: two facts of three tokens, and two of padding."""
_PADDING, _FIRST, _SECOND, _JOINED = range(4)
_IGNORED = -100


@dataclass(frozen=True)
class Facts:
    """The facts of one seed as rows of token ids, in this order: padding, 3 relations, entities, middles, values."""

    first: Int[np.ndarray, "entities 3"]
    """Rows "e r1 a"; no two entities share a middle a."""
    second: Int[np.ndarray, "entities 3"]
    """Rows "a r2 b"."""
    joined: Int[np.ndarray, "entities 3"]
    """Rows "e r12 b"."""
    shown: Int[np.ndarray, " half"]
    """Entities whose joined fact is shown in training."""
    hidden: Int[np.ndarray, " rest"]
    """Entities whose joined fact is never shown."""
    vocabulary: int
    """Number of token ids."""

    @classmethod
    def sample(cls, entities: int, values: int, generator: np.random.Generator) -> Facts:
        """Samples facts; every value is about equally frequent."""
        e = 4 + np.arange(entities)
        b = 4 + 2 * entities + generator.permutation(np.arange(entities) % values)
        a = 4 + entities + generator.permutation(entities)
        shown = generator.permutation(entities)[::2]
        first, second, joined = (
            np.stack([head, np.full_like(head, relation), tail], axis=1)
            for head, relation, tail in ((e, _FIRST, a), (a, _SECOND, b), (e, _JOINED, b))
        )
        hidden = np.setdiff1d(np.arange(entities), shown)
        return cls(first, second, joined, shown, hidden, vocabulary=4 + 2 * entities + values)


class FactBatches:
    """Makes the batches of one arm from seed and step alone; arms of one seed show the same facts equally often.

    ``knn`` shows both facts of an entity in one row; ``random`` those of different entities; ``split`` one fact per
    row, on twice as many rows.
    """

    def __init__(self, facts: Facts, arm: ComposeArm, *, rows: int, joined_share: float, seed: int) -> None:
        self.facts, self.arm, self.rows, self.seed = facts, arm, rows, seed
        self.joined_rows = round(rows * joined_share)
        self.fingerprint = f"facts {arm} {rows} {joined_share} {seed}"

    def batch(self, step: int) -> dict[str, Int[torch.Tensor, "rows length"]]:
        """Returns the rows of one step; every token but the padding is predicted, as in pretraining."""
        generator = np.random.default_rng([self.seed, step])
        pairs = self.rows - self.joined_rows
        entities = generator.integers(len(self.facts.first), size=pairs)
        # Rolled by one, every entity's second fact is shown exactly as often as in the arm knn.
        others = entities if self.arm == "knn" else np.roll(entities, 1)
        joined = self.facts.joined[generator.choice(self.facts.shown, self.joined_rows)]
        first, second = self.facts.first[entities], self.facts.second[others]
        if self.arm == "split":
            rows = _place([np.concatenate([first, second, joined])], generator)
        else:
            swap = (generator.random(pairs) < 0.5)[:, None]
            both = [np.where(swap, second, first), np.where(swap, first, second)]
            rows = np.concatenate([_place(both, generator), _place([joined], generator)])
        labels = np.where(rows == _PADDING, _IGNORED, rows)
        return {"input_ids": torch.from_numpy(rows), "labels": torch.from_numpy(labels)}


def _place(facts: list[np.ndarray], generator: np.random.Generator) -> np.ndarray:
    """Places facts one after the other at random positions of a row, with padding around and between them."""
    count = len(facts[0])
    rows = np.full((count, LENGTH), _PADDING, dtype=np.int64)
    spare = LENGTH - 3 * len(facts)
    # Sorted, before[:, i] is the padding in front of fact i: facts never overlap.
    before = np.sort(generator.integers(spare + 1, size=(count, len(facts))), axis=1)
    for number, fact in enumerate(facts):
        columns = before[:, number, None] + 3 * number + np.arange(3)
        np.put_along_axis(rows, columns, fact, axis=1)
    return rows


@torch.no_grad()
def accuracy(model: torch.nn.Module, facts: Facts) -> dict[str, float]:
    """Asks the model for the last token of facts; its answer is the largest logit among tokens of the right kind.

    Shares of right answers, averaged over all positions in the row: of joined facts that were never shown, where a
    guess is right with probability one over the number of values; of joined facts that were; of single facts.
    """
    middles = slice(4 + len(facts.first), 4 + 2 * len(facts.first))
    values = slice(middles.stop, facts.vocabulary)

    def share_right(questions: np.ndarray, kind: slice) -> float:
        shares = []
        for place in range(LENGTH - 2):
            # The question's two tokens come last; everything before them is padding.
            rows = np.full((len(questions), place + 2), _PADDING, dtype=np.int64)
            rows[:, place:] = questions[:, :2]
            best = model(torch.from_numpy(rows))[:, -1, kind].argmax(dim=-1).numpy() + kind.start
            shares.append(float((best == questions[:, 2]).mean()))
        return float(np.mean(shares))

    return {
        "held_out": share_right(facts.joined[facts.hidden], values),
        "shown": share_right(facts.joined[facts.shown], values),
        "first": share_right(facts.first, middles),
        "second": share_right(facts.second, values),
    }


def run_arm(config: ComposeConfig, arm: ComposeArm, seed: int) -> dict[str, float]:
    """Trains one decoder on one arm and measures its accuracy."""
    facts = Facts.sample(config.entities, config.values, np.random.default_rng([seed, 1]))
    shape = DecoderConfig(vocabulary=facts.vocabulary, depth=config.depth, width=config.width, heads=4, context=LENGTH)
    model = Decoder(shape, generator=torch.Generator().manual_seed(seed))
    batches = FactBatches(facts, arm, rows=config.rows, joined_share=config.joined_share, seed=seed)
    settings = TrainingConfig(
        steps=config.steps,
        learning_rate=config.learning_rate,
        schedule="constant",
        weight_decay=0.01,
        betas=(0.9, 0.999),
    )
    train(model, batches, settings)
    return accuracy(model.eval(), facts)


@verb(ComposeConfig)
def compose(config: ComposeConfig, context: Context) -> Result:
    """Trains decoders on two facts per entity, in one example or in two, and asks for the joined fact.

    "e r1 a" and "a r2 b" are shown for every entity e, the joined fact "e r12 b" for half of them. Asked for the other
    half, a model can only answer by joining; a guess is right with probability 1 / values. All arms show every fact
    equally often: they differ only in which facts share an example.

    Returns:
        Share of never shown joined facts answered right per arm, and the differences of arms, paired by seed.

    Example:
        >>> result = compose(entities=8, steps=2, rows=8, width=16, depth=1, seeds=1)
        >>> 0 <= result.values["knn_accuracy"] <= 1
        True
    """
    seeds = range(context.seed, context.seed + config.seeds)
    jobs: list[tuple[ComposeArm, int]] = [(arm, seed) for seed in seeds for arm in ARMS]
    title = f"Joining two facts: {config.seeds} seeds, {config.steps} steps, chance {1 / config.values:g}"
    with Recorder("pretraining.compose", title, config, context, papers=(6,)) as record:
        found = {job: run_arm(config, *job) for job in track(jobs, context.progress, "runs")}
        scores = {
            arm: {name: np.array([found[arm, seed][name] for seed in seeds]) for name in found[arm, seeds[0]]}
            for arm in ARMS
        }
        for arm in ARMS:
            record.value(f"{arm}_accuracy", float(np.mean(scores[arm]["held_out"])))
            for seed, each in zip(seeds, scores[arm]["held_out"].tolist(), strict=True):
                record.measure("held_out_accuracy", each, seed=seed, group=arm)
        record.table(
            "accuracy",
            "Share answered right",
            ("arm", "joined, never shown", "joined, shown", "first fact", "second fact"),
            [(f"{arm} ({_TITLES[arm]})", *(mean(each).number for each in scores[arm].values())) for arm in ARMS],
            note="Means over seeds and over all places in a row. All arms show every fact equally often.",
        )
        for control in ("split", "random"):
            together, apart = scores["knn"]["held_out"], scores[control]["held_out"]
            difference = mean(together - apart)
            low, high = difference.low or 0.0, difference.high or 0.0
            verdict: Verdict = "agrees" if low > 0 else "disagrees" if high < 0 else "inconclusive"
            record.value(f"knn_minus_{control}", difference.value)
            facts = [scores[control]["first"].mean(), scores[control]["second"].mean()]
            record.finding(
                f"knn_against_{control}",
                f"Can facts be joined better when they shared an example than {_TITLES[control]}?",
                verdict,
                f"{together.mean():.2f} against {apart.mean():.2f} of the joined facts that were never shown.",
                predicted=Estimate(value=0.0, low=0.0, method="theory: the difference is positive"),
                measured=difference,
                assumptions=(
                    Assumption(
                        statement="The control knows the single facts",
                        status="holds" if min(facts) > 0.9 else "fails",
                        how=f"it answers {facts[0]:.2f} of the first and {facts[1]:.2f} of the second facts",
                    ),
                    Assumption(statement="Chance", status="holds", how=f"one in {config.values} values"),
                ),
                advice="Facts that are to be joined should meet in one training example."
                if verdict == "agrees"
                else "",
            )
    return record.result
