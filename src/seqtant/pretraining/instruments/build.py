"""Builds examples from a corpus, audits them, and records what was dropped on the way."""

from __future__ import annotations

import tempfile
import time
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from seqtant.findings import Assumption, Estimate, Result
from seqtant.pretraining.build.audit import ArmAudit, audit_arm, audit_hubs
from seqtant.pretraining.build.build import Counts, build_folder
from seqtant.pretraining.config import BuildConfig
from seqtant.pretraining.instruments.audit import record_audit
from seqtant.runs.recorder import Context, Recorder
from seqtant.runs.verb import verb
from seqtant.sources import describe, is_path
from seqtant.stats.intervals import mean


@verb(BuildConfig)
def build_examples(config: BuildConfig, context: Context) -> Result:
    """Builds training examples of related text from a corpus, with controls of equal budget, and audits them.

    The text is cut into segments that together are the text again; every segment gets a vector, and from its nearest
    neighbors go copies, its own document, test sets and hubs. The arm ``knn`` holds an anchor after its neighbors;
    ``split`` the very same segments, related ones in different examples; ``random`` unrelated segments of the same
    lengths; ``contiguous`` running text. The examples stay where ``out`` says; ``Build.from_corpus`` returns them.

    Returns:
        The audit of the arms, recall of the search, what each filter removed, the time of each stage.

    Raises:
        InputError: A source cannot be used, or the folder holds the build of other inputs.

    Example:
        >>> documents = [f"Thing {n} lies in box {n % 7}. Box {n % 7} stands in room {n % 3}." for n in range(60)]
        >>> result = build_examples([documents], segment={"tokenizer": "bytes"}, examples={"window": 128})
        >>> result.values["documents"], result.values["recall"]
        (60, 1.0)
    """
    sources: Any = config.corpus
    names = (Path(source).name if is_path(source) else describe(source) for source in sources)
    title = f"Examples of {config.examples.window} tokens from {', '.join(names)}"
    place = tempfile.TemporaryDirectory() if context.folder is None else nullcontext(str(context.folder))
    with place as folder, Recorder("pretraining.build", title, config, context, papers=(6,)) as record:
        started = time.perf_counter()
        built, counts = build_folder(config, Path(folder), seed=context.seed, progress=context.progress)
        record.value("build_seconds", time.perf_counter() - started)
        started = time.perf_counter()
        audits, hubs = [audit_arm(built, arm) for arm in built.arms], audit_hubs(built)
        seconds = counts.seconds | {"audit": time.perf_counter() - started}
        record_audit(record, audits, hubs)
        record.value("documents", sum(built.manifest["documents"]))
        record.value("segments", len(built.segments))
        record.value("eligible_segments", int(built.segments.eligible.sum()))
        record.value("vocabulary", built.manifest["vocabulary"])
        recalled = built.recall
        if len(recalled):
            exact = bool((recalled == 1).all())
            measured = Estimate.exact(1.0, method="exact search, or every sampled query") if exact else mean(recalled)
            record.value("recall", measured.value)
            good = measured.value >= 0.9
            record.finding(
                "recall",
                "How many of the true nearest neighbors did the search find?",
                "agrees" if good else "disagrees",
                f"{measured.value:.1%} of those of {len(recalled)} sampled segments.",
                measured=measured,
                advice="" if good else "raise neighbors.probes, or set neighbors.index to exact.",
            )
        else:
            record.value("recall", None)
            record.warn("no segment has a neighbor: the arms of related text hold running text only")
        least, dropped = built.filtered.least_similar, built.filtered.dropped
        record.value("least_similar", least)
        record.table(
            "filter",
            "Candidates that each rule removed",
            ("rule", "candidates"),
            list(dropped.items()),
            note=f"Rules are applied in this order; too unlike means a cosine similarity below {least:.3f}.",
        )
        _record_controls(record, audits, counts)
        record.table(
            "stages",
            "Time of each stage",
            ("stage", "seconds"),
            list(seconds.items()),
            note="Wall time. A stage that an earlier run into this folder had made was taken from there.",
        )
        if context.folder is None:
            record.warn("the examples were not kept: give a folder (--out DIR)")
        else:
            record.artifact(context.folder / "manifest.json", "manifest")
            for arm in built.arms:
                record.artifact(built.path(arm), f"examples {arm}")
    return record.result


def _record_controls(record: Recorder, audits: list[ArmAudit], counts: Counts) -> None:
    record.value("anchors_without_neighbors", counts.anchors_without_neighbors)
    budgets = {audit.arm: audit.tokens for audit in audits if audit.arm in ("knn", "random", "split", "contiguous")}
    if len(budgets) < 2:
        return
    # Equal budgets are what makes the arms comparable at all.
    equal = len(set(budgets.values())) == 1
    for arm, number in counts.unchanged.items():
        record.value(f"{arm}_unchanged", number)
    record.finding(
        "budgets",
        "Do the arms hold equally many tokens?",
        "agrees" if equal else "disagrees",
        f"{', '.join(f'{arm} {tokens}' for arm, tokens in budgets.items())} tokens.",
        measured=Estimate.exact(min(budgets.values()) / max(1, *budgets.values()), method="counted"),
        assumptions=tuple(
            Assumption(
                statement=f"Related segments are apart in the arm {arm}",
                status="holds" if number == 0 else "fails",
                how=f"{number} segments stayed: the only ones of their length",
            )
            for arm, number in counts.unchanged.items()
        ),
        advice="" if equal else "the corpus is too short for its arms: give more text or a smaller window.",
    )
