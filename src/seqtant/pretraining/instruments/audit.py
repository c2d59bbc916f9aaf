"""Audits built examples; on a model, proves that the segments of an example attend to each other."""

from __future__ import annotations

from dataclasses import replace

from seqtant.findings import Estimate, Result
from seqtant.pretraining.build.audit import ArmAudit, audit_arm, audit_hubs
from seqtant.pretraining.build.build import open_or_build
from seqtant.pretraining.config import AuditConfig, BuildConfig
from seqtant.runs.recorder import Context, Recorder
from seqtant.runs.verb import verb
from seqtant.stats.intervals import mean

_RELATED = ("knn", "tour", "stream")


@verb(AuditConfig)
def audit(config: AuditConfig, context: Context) -> Result:
    """Audits built examples by exact counts; on a model, proves that the segments of an example see each other.

    Every pair of segments of an example is counted, by distance: do they come from one document, are they copies of
    each other, how similar are their vectors? With a model, the context of an anchor is exchanged: if no logit within
    the anchor changes, attention is masked between segments, and related text in one example is useless.

    Returns:
        Size, fill, company and repeats of the first arm of related text, hubs of the neighbor graph; tables of all
        arms; with a model the mean change of the logits.

    Raises:
        InputError: The folder holds no build, or the model cannot read it.

    Example:
        >>> from seqtant.pretraining import Build
        >>> documents = [f"Thing {n} lies in box {n % 7}. Box {n % 7} stands in room {n % 3}." for n in range(60)]
        >>> built = Build.from_corpus([documents], segment={"tokenizer": "bytes"}, examples={"window": 128})
        >>> audit(built).values["same_document_share"] < 0.2
        True
    """
    small = BuildConfig.smoke()
    with open_or_build(config.folder, small, seed=context.seed, progress=context.progress) as built:
        arms = built.arms
        with Recorder("pretraining.audit", f"Audit of {len(arms)} arms", config, context, papers=(6,)) as record:
            audits = [audit_arm(built, arm, distances=config.distances) for arm in arms]
            record_audit(record, audits, audit_hubs(built))
            if config.model is not None:
                from seqtant.lm import load
                from seqtant.pretraining.build.dataset import check_vocabulary, logit_changes, swapped_contexts

                model = load(config.model, device=context.device, tokenizer=False)
                contexts = swapped_contexts(built, "knn" if "knn" in arms else arms[0])
                check_vocabulary(model, contexts)
                changes = logit_changes(lambda ids: model.forward(ids.to(model.device)).logits, contexts)
                seen = bool((changes > 0).all())
                record.value("anchor_logit_change", float(changes.mean()))
                measured = mean(changes, unit="logits")
                record.finding(
                    "joint_attention",
                    "Do the anchor's logits change with its company?",
                    "agrees" if seen else "disagrees",
                    f"By {changes.mean():.3g} on average over {len(changes)} examples (least {changes.min():.3g}).",
                    measured=replace(measured, low=max(0.0, measured.low or 0.0)),
                    advice=""
                    if seen
                    else "attention is masked between segments: related text in one example is then useless.",
                )
    return record.result


def record_audit(record: Recorder, audits: list[ArmAudit], hubs: dict[str, float]) -> None:
    """Records audits; the values are those of the first arm of related text, or else of the first arm."""
    first = next((audit for audit in audits if audit.arm in _RELATED), audits[0])
    for name, number in {
        "examples": first.examples,
        "tokens": first.tokens,
        "fill": first.fill,
        "same_document_share": first.pooled("same_document"),
        "near_duplicate_share": first.pooled("near_duplicate"),
        "neighbor_similarity": first.distances[0].similarity,
        "cut_segment_share": first.cut_segments,
        "repeated_token_share": first.repeated_tokens,
        "test_overlap_share": first.blocked_segments,
        **hubs,
    }.items():
        record.value(name, number)
    record.table(
        "audit",
        "The arms in numbers",
        ("arm", "examples", "tokens", "fill", "segments cut", "repeated", "most repeats"),
        [(a.arm, a.examples, a.tokens, a.fill, a.cut_segments, a.repeated_tokens, a.most_repeats) for a in audits],
        note="Repeated: share of the tokens whose segment stands in the arm more than once.",
    )
    record.table(
        "company",
        "Company in the examples",
        ("arm", "same document", "near-duplicate", "test overlap"),
        [(a.arm, a.pooled("same_document"), a.pooled("near_duplicate"), a.blocked_segments) for a in audits],
        note="Shares of the pairs of segments of one example, up to the largest distance; where an arm mixes groups of "
        "foreign segments with running text, of the groups' examples. Test overlap: share of the segments.",
    )
    record.table(
        "similarity",
        "Mean similarity by distance between segments",
        ("arm", *(str(each.distance) for each in first.distances)),
        [(audit.arm, *(each.similarity for each in audit.distances)) for audit in audits],
        note="Cosine similarity of the encoder's vectors; distance 1 is next to each other. Shares are exact counts.",
    )
    for audit in audits:
        for each in audit.distances:
            if each.similarity is not None:
                record.measure("similarity", each.similarity, step=each.distance, group=audit.arm)
    # Related text must be more similar than random text, and not by copies.
    random = next((audit for audit in audits if audit.arm == "random"), None)
    near, far = first.distances[0].similarity, random.distances[0].similarity if random else None
    if near is not None and far is not None:
        copies = first.pooled("near_duplicate") or 0.0
        record.finding(
            "company",
            f"Are neighboring segments of {first.arm} more alike than those of random?",
            "agrees" if near > far else "disagrees",
            f"Similarity {near:.3f} against {far:.3f}; {copies:.1%} of the pairs are near-duplicates; the busiest "
            f"segment is the neighbor of {hubs['largest_in_degree']}.",
            predicted=Estimate.exact(far, method="random company of the same lengths"),
            measured=Estimate.exact(near, method="every pair counted"),
            advice="near-duplicates teach copying: lower filter.most_similar." if copies > 0.05 else "",
        )
