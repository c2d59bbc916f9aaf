"""The page of reproduced numbers is what its script writes, and what its text names is there."""

from __future__ import annotations

import re
from types import ModuleType

import pytest

from seqtant.experiments.claims import read_claims
from seqtant.findings import Estimate
from seqtant.settings import read_yaml

PAGE = pytest.mark.parametrize("script", ["reproduced"], indirect=True)


@PAGE
def test_the_committed_page_is_what_the_script_writes(script: ModuleType) -> None:
    written = (script.FOLDER / "reproduced.md").read_text(encoding="utf-8")
    assert script.page() == written, "run python docs/reproduced.py"


@PAGE
def test_every_claim_stands_on_the_page_once(script: ModuleType) -> None:
    written = (script.FOLDER / "reproduced.md").read_text(encoding="utf-8")
    rows = [
        line for line in written.partition("## Beyond")[0].splitlines() if re.match(r"\| (?!-|claim|not obs)", line)
    ]
    overview = [row for row in rows if re.match(r"\| (paper|\d+\. )", row)]
    assert len(rows) - len(overview) == len(read_claims())


@PAGE
def test_the_tests_that_the_text_names_exist(script: ModuleType) -> None:
    named = list(script.named_tests(read_yaml(script.NARRATIVE)))
    assert len(named) > 15
    for path, name in named:
        assert f"def {name}" in path.read_text(encoding="utf-8"), f"{path}::{name}"


@PAGE
def test_numbers_are_read_and_never_invented(script: ModuleType) -> None:
    nothing: dict[str, Estimate | None] = {"a": None}
    with pytest.raises(KeyError, match="claim 'a' has no kept record"):
        script.number({"claim": "a"}, nothing.__getitem__)
    known: dict[str, Estimate | None] = {"a": Estimate(value=2.0, low=1.0, high=3.0, unit="nats")}
    assert script.number({"claim": "a"}, known.__getitem__) == "2.0 [1.0, 3.0]"
    with pytest.raises(KeyError):
        script.number({"record": "steering/reference-sweep.json", "value": "no_such_value"}, known.__getitem__)
