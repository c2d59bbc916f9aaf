"""Extracts a steering vector from contrast pairs and reports the quality of its direction in every block."""

from __future__ import annotations

from seqtant.findings import Assumption, Result
from seqtant.runs.context import Context
from seqtant.runs.recorder import Recorder
from seqtant.stats.intervals import share
from seqtant.steering.config import ExtractConfig
from seqtant.steering.inputs import open_model, open_vector
from seqtant.steering.vectors.vector import SteeringVector


def run(config: ExtractConfig, context: Context) -> Result:
    """Extracts a vector; it is saved as ``vector.safetensors`` in the run's folder, if it has one."""
    with Recorder("steering.extract", f"Steering vector of {config.model}", config, context, papers=(1,)) as record:
        model = open_model(config, context)
        vector = open_vector(config, model, context, folds=config.folds)
        record.value("pairs", vector.origin.pairs)
        record.value("layers", len(vector.layers))
        _record_accuracy(record, vector)
        rows: list[tuple[float | int | None, ...]] = []
        for layer, facts in vector.facts.items():
            numbers = (
                facts.raw_norm,
                facts.hidden_norm,
                facts.explained_variance,
                facts.sign_agreement,
                facts.held_out_accuracy,
            )
            rows.append((layer, *(None if number is None else round(number, 4) for number in numbers)))
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
