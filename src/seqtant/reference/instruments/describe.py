"""Tells what is true of the world: kinds, personas, tasks, facts; exact numbers, nothing measured."""

from __future__ import annotations

import numpy as np

from seqtant.findings import Cell, Estimate, Result
from seqtant.reference.config import DescribeConfig
from seqtant.reference.truths import PersonaTruths, TaskTruths
from seqtant.reference.world.documents import SentenceKind
from seqtant.reference.world.world import World, WorldSettings
from seqtant.runs.recorder import Context, Recorder
from seqtant.runs.verb import verb

_EXAMPLE_TOKENS = 26


@verb(DescribeConfig)
def describe_world(config: DescribeConfig, context: Context) -> Result:
    """Describes the reference world.

    Raises:
        InputError: A persona is unknown.
    """
    with Recorder("reference.describe", "What is true of the reference world", config, context) as record:
        settings = WorldSettings()
        world = World.of(settings)
        generator = np.random.default_rng(context.seed)
        rows: list[tuple[Cell, ...]] = []
        for name, kind in world.kinds.items():
            example = world.words(kind.draw(1, _EXAMPLE_TOKENS, generator)[0].tokens[1:].tolist())
            rows.append((name, world.weights[name], kind.end, ", ".join(filter(None, kind.latents)), example))
        record.table("kinds", "Kinds of documents", ("kind", "weight", "end", "hidden values", "example"), rows)
        record.value("vocabulary", world.vocabulary.size)
        _personas(record, world, settings, config)
        kind = world.kinds["game"]
        assert isinstance(kind, SentenceKind)
        truths = TaskTruths(kind, settings.game)
        rest = np.where(np.eye(len(truths.tasks), dtype=bool), np.inf, truths.divergences)
        nearest = rest.argmin(axis=1)
        record.table(
            "tasks",
            "Few-shot tasks, with the nats per shot that tell them from the nearest other",
            ("task", "weight", "labels", "best accuracy", "nearest", "nats per shot", "of these inputs"),
            [
                (
                    task.name,
                    float(truths.prior[row]),
                    "/".join(task.labels),
                    float(truths.accuracy[row]),
                    truths.tasks[nearest[row]],
                    float(truths.divergences[row, nearest[row]]),
                    float(truths.input_divergences[row, nearest[row]]),
                )
                for row, task in enumerate(settings.game.tasks)
            ],
        )
        facts = (*settings.book.facts(), *settings.book.compositions())
        relations = {fact.relation.name: fact for fact in reversed(facts)}
        record.table(
            "facts",
            "Facts",
            ("relation", "number", "example", "answer", "told right with probability"),
            [
                (
                    name,
                    sum(other.relation.name == name for other in facts),
                    fact.question,
                    fact.answer,
                    fact.relation.ceiling,
                )
                for name, fact in reversed(relations.items())
            ],
        )
        record.value("facts", len(settings.book.facts()))
        record.value("compositions", len(settings.book.compositions()))
    return record.result


def _personas(record: Recorder, world: World, settings: WorldSettings, config: DescribeConfig) -> None:
    kind = world.kinds["talk"]
    assert isinstance(kind, SentenceKind)
    truths = PersonaTruths(kind, settings.talk, negative=config.negative, sentences=config.sentences)
    numbers = {
        "alpha": truths.alpha,
        "log_inverse_alpha": truths.log_inverse_alpha,
        "beta": truths.beta,
        "beta_prime": truths.beta_prime,
        "sigma2": truths.sigma2,
        "halfway": truths.halfway,
        "tone_before": float(truths.tone_curve[0]),
        "tone_of_negative": truths.negative_tone,
    }
    for name, number in numbers.items():
        record.value(name, number)
    divergence = float(truths.target_divergence_curve.sum())
    record.finding(
        "negative_personas",
        f"How rare are {' and '.join(config.negative)}, and how fast do they show?",
        # However long a prompt, it tells the mixture from its part by no more than the part's rarity.
        "agrees" if divergence <= truths.log_inverse_alpha * (1 + 1e-9) else "disagrees",
        f"Their weight is {truths.alpha:g}; each sentence of theirs gives at least {truths.beta:.4f} nats of evidence, "
        f"and after {truths.halfway:.2f} of them the tone has come half the way.",
        predicted=Estimate.exact(truths.log_inverse_alpha, unit="nats"),
        measured=Estimate.exact(divergence, unit="nats", method="exact, summed"),
        advice="The sum of the divergences from the mixture tends to log(1/alpha) as prompts grow.",
    )
    pairs = truths.classes.divergences()
    record.table(
        "personas",
        "Personas, and the nats per sentence that tell the row's from the column's",
        ("persona", "weight", "tone", *kind.latents),
        [
            (name, float(kind.prior[row]), float(truths.tone[row]), *(float(value) for value in pairs[row]))
            for row, name in enumerate(kind.latents)
        ],
    )
    record.table(
        "lengths",
        "After so many negative sentences, in nats per sentence",
        ("sentences", "from the rest", "from the mixture", "tone"),
        [
            (
                n,
                float(truths.divergence_curve[n]),
                float(truths.target_divergence_curve[n]),
                float(truths.tone_curve[n]),
            )
            for n in range(0, config.sentences + 1, max(1, config.sentences // 12))
        ],
    )
