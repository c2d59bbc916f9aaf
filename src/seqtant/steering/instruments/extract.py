"""Extracts a steering vector from contrast pairs and reports the quality of its direction in every block."""

from __future__ import annotations

from dataclasses import astuple

from seqtant.findings import Assumption, Result
from seqtant.runs.recorder import Context, Recorder
from seqtant.runs.verb import verb
from seqtant.stats.intervals import share
from seqtant.steering.config import ExtractConfig
from seqtant.steering.inputs import open_model, open_vector, title_of


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
        pairs = vector.origin.pairs
        record.value("pairs", pairs)
        record.value("layers", len(vector.layers))
        best = max(vector.layers, key=lambda layer: vector.facts[layer].held_out_accuracy or 0.0)
        chosen = vector.facts[best]
        # A vector from a file may not say how well it tells the sides apart.
        if chosen.held_out_accuracy is not None:
            accuracy = share(round(chosen.held_out_accuracy * pairs), pairs)
            for name, number in {
                "best_layer": best,
                "best_accuracy": accuracy.value,
                "raw_norm": chosen.raw_norm,
                "hidden_norm": chosen.hidden_norm,
            }.items():
                record.value(name, number)
            sound = accuracy.low is not None and accuracy.low > 0.5
            record.finding(
                "separation",
                "Does the direction tell the two sides of pairs apart that it was not made from?",
                "agrees" if sound else "inconclusive",
                f"Best in block {best}: {100 * accuracy.value:.0f} % of {pairs} pairs, each by a direction made from "
                "others.",
                measured=accuracy,
                assumptions=(
                    Assumption(
                        statement="The sides differ in the behavior and in nothing else", how="the pairs must see to"
                    ),
                ),
                advice=""
                if sound
                else "Give more pairs, or pairs that differ more, or other layers; a direction that cannot "
                "tell the sides apart will steer something else.",
            )
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
