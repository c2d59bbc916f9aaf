"""Learns all steps of a parity by one gradient step: the closed-form oracle of learning with steps."""

from __future__ import annotations

import numpy as np

from seqtant.findings import Assumption, Estimate, Result
from seqtant.runs.recorder import Context, Recorder
from seqtant.runs.verb import verb
from seqtant.stats.intervals import share
from seqtant.subtasks.config import OneStepConfig
from seqtant.subtasks.oracles import learn_in_one_step, solve_in_one_step
from seqtant.subtasks.theory import expected_first_gradient


@verb(OneStepConfig)
def one_step(config: OneStepConfig, context: Context) -> Result:
    """Learns all steps of a parity by one gradient step of a one-layer network, and solves fresh inputs with it.

    From zero weights the gradient of the squared loss is about -8 / m^2 on the two of m earlier tokens that a step
    reads, and of lower order elsewhere; the step is scaled by m^2.

    Returns:
        Share of right answers on the network's own steps, and the share of steps whose two children were found.

    Raises:
        InputError: The subset is no power of two or larger than the bits.

    Example:
        >>> one_step(bits=16, subset_size=8, samples=4096, test_rows=500).values["accuracy"]
        1.0
    """
    title = f"Parity of {config.subset_size} of {config.bits} bits by one gradient step"
    with Recorder("subtasks.one-step", title, config, context, papers=(5,)) as record:
        generator = np.random.default_rng([context.seed, 1])
        learned = learn_in_one_step(config.bits, config.subset_size, config.samples, config.scale, generator)
        right, error = solve_in_one_step(learned, config.test_rows, generator)
        accuracy = share(int(right.sum()), len(right))
        enough = Assumption(
            statement="There are enough samples, of the order of the squared number of bits and more.",
            status="holds" if config.samples >= 4 * config.bits**2 else "fails",
            how=f"{config.samples} samples for {config.bits} bits",
        )
        record.value("accuracy", accuracy.value)
        record.value("largest_error", float(error.max()))
        record.value("children_found", float(learned.children_found.mean()))
        record.finding(
            "one_step",
            "Does one gradient step learn every step of the parity at once?",
            "agrees" if (accuracy.low or 0) > 0.99 else "disagrees",
            f"{accuracy.value:.4f} of {len(right)} fresh parities are right on the model's own steps.",
            predicted=Estimate(value=1.0, method="limit of many samples"),
            measured=accuracy,
            assumptions=(enough,),
            advice="" if (accuracy.low or 0) > 0.99 else "Give more samples: noise in the gradient is what is left.",
        )
        found = learned.children_found
        child, other = expected_first_gradient(config.bits)
        record.finding(
            "children",
            "Are the two most negative gradients of every step its two children?",
            "agrees" if found.all() else "disagrees",
            f"{int(found.sum())} of {found.size} steps; the first step's exact mean gradient is {child:.3g} on a child "
            f"and {other:.3g} elsewhere.",
            predicted=Estimate.exact(1.0),
            measured=share(int(found.sum()), found.size),
        )
        rows = [
            (number, len(weights), bool(hit), float(np.sort(weights)[-2:].sum()))
            for number, (weights, hit) in enumerate(zip(learned.weights, found, strict=True))
        ]
        columns = ("step", "earlier tokens", "children found", "weight on the two largest")
        record.table("steps", "Where each step looks", columns, rows)
    return record.result
