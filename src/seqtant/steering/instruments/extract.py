"""Extracts a steering vector from contrast pairs and reports the quality of its direction in every block."""

from __future__ import annotations

from dataclasses import astuple

from seqtant.findings import Assumption, Result
from seqtant.runs.context import Context
from seqtant.runs.recorder import Recorder
from seqtant.runs.verb import verb
from seqtant.stats.intervals import share
from seqtant.steering.config import ExtractConfig
from seqtant.steering.inputs import open_model, open_vector, title_of
from seqtant.steering.vectors.vector import SteeringVector


@verb(ExtractConfig)
def evaluate_vector(config: ExtractConfig, context: Context) -> Result:
    """Evaluates the directions that contrast pairs give, block by block; with ``out`` the vector is kept there.

    The vector itself is what :meth:`seqtant.steering.SteeringVector.extract` returns; this says how good it is. A
    vector that is given is checked against the model instead.

    Returns:
        Per block the raw norm, the mean hidden norm, the share of the squared differences along the direction, and how
        often a direction made from other pairs tells the two sides of a pair apart; the best block by that. With
        ``out`` the file ``vector.safetensors`` is an artifact.

    Raises:
        InputError: There is neither a vector nor pairs, or they cannot be used.

    Example:
        >>> pairs = [(f"we love the {noun} .", f"we hate the {noun} .") for noun in ("lamp", "room", "lake", "hill")]
        >>> evaluate_vector("reference", pairs=pairs, layers=[2, 3]).values["best_accuracy"]
        1.0
    """
    title = f"Steering vector of {title_of(config.model)}"
    with Recorder("steering.extract", title, config, context, papers=(1,)) as record:
        model = open_model(config, context)
        vector = open_vector(config, model, context, folds=config.folds)
        record.value("pairs", vector.origin.pairs)
        record.value("layers", len(vector.layers))
        _record_accuracy(record, vector)
        # In the order of the facts' fields.
        rows = [
            (layer, *(None if number is None else round(number, 4) for number in astuple(facts)))
            for layer, facts in vector.facts.items()
        ]
        record.table(
            "directions",
            "What is known of the direction in every block",
            ("block", "raw norm", "hidden norm", "explained variance", "sign agreement", "held-out accuracy"),
            rows,
            note="Strengths multiply unit vectors: compare them with the hidden norm. Explained is the share of the "
            "squared differences along the direction.",
        )
        if context.folder is not None:
            path = context.folder / "vector.safetensors"
            vector.save(path)
            record.artifact(path, "steering vector")
    return record.result


def _record_accuracy(record: Recorder, vector: SteeringVector) -> None:
    """Records the best block by held-out accuracy; nothing for a vector from a file without that number."""
    pairs = vector.origin.pairs
    best = max(vector.layers, key=lambda layer: vector.facts[layer].held_out_accuracy or 0.0)
    facts = vector.facts[best]
    if facts.held_out_accuracy is None:
        return
    accuracy = share(round(facts.held_out_accuracy * pairs), pairs)
    for name, number in {
        "best_layer": best,
        "best_accuracy": accuracy.value,
        "raw_norm": facts.raw_norm,
        "hidden_norm": facts.hidden_norm,
    }.items():
        record.value(name, number)
    sound = accuracy.low is not None and accuracy.low > 0.5
    record.finding(
        "separation",
        "Does the direction tell the two sides of pairs apart that it was not made from?",
        "agrees" if sound else "inconclusive",
        f"Best in block {best}: {100 * accuracy.value:.0f} % of {pairs} pairs, each by a direction made from others.",
        measured=accuracy,
        assumptions=(
            Assumption(statement="The sides differ in the behavior and in nothing else", how="the pairs must see to"),
        ),
        advice=""
        if sound
        else "Give more pairs, or pairs that differ more, or other layers; a direction that cannot "
        "tell the sides apart will steer something else.",
    )
