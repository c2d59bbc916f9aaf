"""The published numbers of every package, and whether we observe them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from seqtant.errors import InputError, MissingExtraError, SeqtantError, suggest
from seqtant.experiments.records import Records, find_or_run
from seqtant.findings import Claim, ClaimCheck, ClaimVerdict, Estimate, Result, Scale
from seqtant.instruments import config_type, package
from seqtant.packages import PACKAGES
from seqtant.progress import track
from seqtant.runs.recorder import Context
from seqtant.runs.store import Store
from seqtant.settings import PRESETS, build, config_hash, read_yaml


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One claim as it stands."""

    check: ClaimCheck
    run: str = ""
    """Id of the run that observed it."""
    stored: str = ""
    """When that run was made, if it was stored before; empty for a new run."""
    reason: str = ""
    """Why it could not be observed."""
    failed: bool = False
    """Whether it counts against us: not reproduced, or its run ended in an error. A missing library does not."""


def read_claims(*, paper: int | None = None, only: str = "") -> list[Claim]:
    """Reads ``claims.yaml`` of every package, or ``only`` of one."""
    known = sorted({number for each in PACKAGES.values() for number in each.papers})
    if paper is not None and paper not in known:
        raise InputError(f"there is no paper {paper}: give one of {', '.join(map(str, known))}")
    chosen = [package(only)] if only else list(PACKAGES.values())
    claims: list[Claim] = []
    for each in chosen:
        spec = find_spec(f"seqtant.{each.name}")
        for path in (Path(folder) / "claims.yaml" for folder in (spec and spec.submodule_search_locations) or ()):
            listed = (read_yaml(path).get("claims") or []) if path.is_file() else []
            for number, data in enumerate(listed, start=1):
                source = f"{each.name}/claims.yaml, claim {data.get('id', number)}"
                claims.append(build(Claim, data, source=source))
    twice = [id for id, times in Counter(claim.id for claim in claims).items() if times > 1]
    if twice:
        raise InputError(f"claim '{twice[0]}' is listed twice in claims.yaml: give each its own id")
    return [claim for claim in claims if paper in (None, claim.paper)]


def check_claims(
    claims: Sequence[Claim],
    context: Context,
    store: Store,
    *,
    records: Records | None = None,
    scale: Scale = "smoke",
    force: bool = False,
) -> list[Entry]:
    """Holds claims against runs: stored ones where they exist, new ones (saved) where they do not.

    Claims of one configuration share one run. A run that cannot be made (a missing library, a bad configuration) is
    told as the reason, and the others go on. Runs are looked for in the store, then in ``records``; claims that need a
    larger ``scale`` are ``not run``; ``force`` runs again what is stored. One entry per claim, in the order given.
    """
    entries: dict[str, Entry] = {}
    groups: dict[tuple[str, str], tuple[Any, list[Claim]]] = {}
    for claim in claims:
        if claim.script:
            entries[claim.id] = kept_claims([claim], records or Records(None))[0]
            continue
        if not claim.instrument or PRESETS.index(claim.scale) > PRESETS.index(scale):
            entries[claim.id] = Entry(check=judge(claim, None), reason=claim.why_not)
            continue
        config = build(config_type(claim.instrument), claim.config, source=claim.id)
        groups.setdefault((claim.instrument, config_hash(config)), (config, []))[1].append(claim)
    for config, group in track(groups.values(), context.progress, "claims", len(groups)):
        try:
            result, found = find_or_run(config, context, store, records=records, force=force)
        except SeqtantError as error:
            failed = not isinstance(error, MissingExtraError)
            entries |= {claim.id: Entry(check=judge(claim, None), reason=str(error), failed=failed) for claim in group}
            continue
        observed = {claim.id: _entry(claim, result, result.created if found else "") for claim in group}
        entries |= observed
        if not found:
            store.save(replace(result, claims=(*result.claims, *(entry.check for entry in observed.values()))))
    return [entries[claim.id] for claim in claims]


def kept_claims(claims: Sequence[Claim], records: Records) -> list[Entry]:
    """Holds claims against kept records only: nothing is run, whatever the scale.

    One entry per claim, in the order given; without a record its verdict is ``not run``.
    """
    entries: list[Entry] = []
    for claim in claims:
        entry = Entry(check=judge(claim, None), reason=claim.why_not or (claim.script and f"run {claim.script} --keep"))
        if claim.instrument:
            made = claim.config if claim.script else build(config_type(claim.instrument), claim.config, source=claim.id)
            result = records.find(claim.instrument, config_hash(made), seed=0)
            entry = entry if result is None else _entry(claim, result, result.created)
        entries.append(entry)
    return entries


def _entry(claim: Claim, result: Result, stored: str) -> Entry:
    check = judge(claim, result.estimate(claim.value, unit=claim.unit))
    if check.observed is None:
        reason = f"{result.instrument} gives no value '{claim.value}'{suggest(claim.value, result.values)}"
        return Entry(check=check, run=result.id, stored=stored, reason=reason, failed=True)
    return Entry(check=check, run=result.id, stored=stored, failed=check.verdict == "not reproduced")


def judge(claim: Claim, observed: Estimate | None) -> ClaimCheck:
    """Holds one claim against what was observed: within its tolerance or not.

    Example:
        >>> claim = Claim(id="a", paper=8, statement="", locator="", published=96, tolerance=1, source="text")
        >>> judge(claim, Estimate.exact(95)).verdict, judge(claim, Estimate.exact(90)).verdict
        ('reproduced', 'not reproduced')
        >>> from dataclasses import replace
        >>> judge(replace(claim, source="memory"), Estimate.exact(96)).verdict
        'unverified source'
    """
    verdict: ClaimVerdict
    if claim.source == "memory":
        verdict = "unverified source"
    elif observed is None:
        verdict = "not run"
    else:
        verdict = "reproduced" if abs(observed.value - claim.published) <= claim.tolerance else "not reproduced"
    return ClaimCheck(claim=claim, observed=observed, verdict=verdict)
