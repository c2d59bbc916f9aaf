"""Claims: run once per configuration, reused, judged within their tolerance, never bettered by memory."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from seqtant.errors import InputError, MissingExtraError
from seqtant.experiments import records as reuse
from seqtant.experiments.claims import check_claims, judge, read_claims
from seqtant.findings import Claim, Estimate
from seqtant.packages import Package
from seqtant.runs.recorder import Context
from seqtant.runs.store import Store

pytestmark = pytest.mark.usefixtures("demo_package")


def claim(**fields: Any) -> Claim:
    base = {
        "id": "x",
        "paper": 8,
        "statement": "",
        "locator": "",
        "published": 2.006,
        "tolerance": 0.001,
        "source": "text",
        "instrument": "demo.pendulum",
        "value": "law_seconds",
    }
    return Claim(**base | fields)


def test_the_rooms_claims_are_read_and_filtered() -> None:
    assert len(read_claims()) == 4
    assert [each.id for each in read_claims(paper=3)] == ["demo.remembered", "demo.needs_a_tower"]
    assert len(read_claims(only="demo")) == 4
    with pytest.raises(InputError, match=r"unknown instrument 'demos' \(did you mean 'demo'\?\)"):
        read_claims(only="demos")


def test_each_claim_gets_its_verdict_and_its_interval() -> None:
    entries = {entry.check.claim.id: entry for entry in check_claims(read_claims(), Context(), Store())}
    assert {id: entry.check.verdict for id, entry in entries.items()} == {
        "demo.seconds_pendulum": "reproduced",
        "demo.law_of_one_metre": "reproduced",
        "demo.remembered": "unverified source",
        "demo.needs_a_tower": "not run",
    }
    assert not any(entry.failed for entry in entries.values())
    observed = entries["demo.seconds_pendulum"].check.observed
    assert observed is not None
    assert observed.method == "Student t"
    assert observed.interval
    law = entries["demo.law_of_one_metre"].check.observed
    assert law is not None
    assert law.is_exact
    assert law.method == "2 pi sqrt(length / g)"


def test_claims_of_one_configuration_share_a_run_that_carries_them() -> None:
    check_claims(read_claims(), Context(), Store())
    rows = Store().list()
    assert len(rows) == 2
    carried = sorted(check.claim.id for row in rows for check in Store().load(row.id).claims)
    assert carried == ["demo.law_of_one_metre", "demo.remembered", "demo.seconds_pendulum"]


def test_stored_runs_are_taken_unless_forced() -> None:
    first = [entry.run for entry in check_claims(read_claims(), Context(), Store())]
    again = [entry.run for entry in check_claims(read_claims(), Context(), Store())]
    forced = [entry.run for entry in check_claims(read_claims(), Context(), Store(), force=True)]
    other_seed = [entry.run for entry in check_claims(read_claims(), Context(seed=1), Store())]
    assert again == first
    assert set(forced) & set(first) == {""}
    assert set(other_seed) & set(first) == {""}
    assert len(Store().list()) == 6


def test_a_larger_scale_runs_what_needs_it() -> None:
    entries = {
        entry.check.claim.id: entry for entry in check_claims(read_claims(paper=3), Context(), Store(), scale="gpu")
    }
    assert entries["demo.needs_a_tower"].check.verdict == "reproduced"


@pytest.mark.parametrize(
    ("published", "verdict"),
    [(1.9, "reproduced"), (2.1, "reproduced"), (1.89, "not reproduced"), (2.11, "not reproduced")],
)
def test_the_tolerance_is_an_absolute_difference(published: float, verdict: str) -> None:
    assert judge(claim(published=published, tolerance=0.1 + 1e-12), Estimate.exact(2.0)).verdict == verdict


def test_a_claim_that_is_not_met_fails() -> None:
    (entry,) = check_claims([claim(published=3.0)], Context(), Store())
    assert (entry.check.verdict, entry.failed) == ("not reproduced", True)


def test_memory_is_never_reproduced_even_when_it_fits() -> None:
    (entry,) = check_claims([claim(source="memory")], Context(), Store())
    assert (entry.check.verdict, entry.failed) == ("unverified source", False)
    assert entry.check.observed is not None


def test_a_value_that_does_not_exist_is_told_with_the_nearest() -> None:
    (entry,) = check_claims([claim(value="law_second")], Context(), Store())
    assert (entry.check.verdict, entry.failed) == ("not run", True)
    assert entry.reason == "demo.pendulum gives no value 'law_second' (did you mean 'law_seconds'?)"


def test_a_run_that_fails_is_told_and_the_others_go_on(monkeypatch: pytest.MonkeyPatch) -> None:
    really_run = reuse.run

    def refuse_long(config: Any, context: Any) -> Any:
        if config.length == 5:
            raise InputError("the ceiling is too low")
        if config.length == 6:
            raise MissingExtraError("'ladder' is not installed: pip install 'seqtant[ladder]'")
        return really_run(config, context)

    monkeypatch.setattr(reuse, "run", refuse_long)
    claims = [claim(id=str(length), config={"length": length}, tolerance=9) for length in (5, 6, 1)]
    entries = check_claims(claims, Context(), Store())
    assert [(entry.check.verdict, entry.failed) for entry in entries] == [
        ("not run", True),
        ("not run", False),
        ("reproduced", False),
    ]
    assert entries[0].reason == "the ceiling is too low"
    assert "pip install" in entries[1].reason


def test_a_claim_that_nothing_observes_says_why() -> None:
    (entry,) = check_claims([claim(instrument="", why_not="the tower is closed")], Context(), Store())
    assert (entry.check.verdict, entry.reason, entry.failed) == ("not run", "the tower is closed", False)
    (entry,) = check_claims([claim(scale="gpu", why_not="it needs a tower")], Context(), Store())
    assert (entry.check.verdict, entry.reason) == ("not run", "it needs a tower")
    with pytest.raises(InputError, match="claim 'x' says why it is not observed, and which instrument observes it"):
        claim(why_not="the tower is closed")


def test_a_claim_with_a_bad_configuration_is_named() -> None:
    with pytest.raises(InputError, match=r"x: unknown key 'lenth' \(did you mean 'length'\?\)"):
        check_claims([claim(config={"lenth": 1})], Context(), Store())


def test_bad_claims_are_named(demo_package: Package, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    room = tmp_path / demo_package.name
    room.mkdir()
    (room / "__init__.py").write_text("")
    monkeypatch.setattr("seqtant.__path__", [str(tmp_path)])
    (room / "claims.yaml").write_text("claims:\n  - {id: a, paper: 8}\n")
    with pytest.raises(InputError, match=r"demo/claims.yaml, claim a: statement has no default: give it"):
        read_claims()
    line = "  - {id: a, paper: 8, statement: s, locator: l, published: 1, tolerance: 1, source: text}\n"
    (room / "claims.yaml").write_text("claims:\n" + line + line)
    with pytest.raises(InputError, match="claim 'a' is listed twice"):
        read_claims()
