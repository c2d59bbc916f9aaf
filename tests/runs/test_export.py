"""What other programs read: full records, or one tidy row per number."""

from __future__ import annotations

import csv
import io
import json
import math

from seqtant.findings import Claim, ClaimCheck, Estimate, Finding, Measurement, Result, from_json
from seqtant.runs.records import COLUMNS, export


def sample() -> list[Result]:
    claim = Claim(id="p8.depth", paper=8, statement="", locator="", published=96, tolerance=1, source="text")
    part = Result(instrument="demo.part", title="", id="1", created="", config={}, config_hash="", values={"x": 7})
    finding = Finding(
        key="half",
        question="",
        verdict="agrees",
        summary="",
        predicted=Estimate.exact(1.5),
        measured=Estimate(value=1.4, low=1.2, high=math.inf, method="t, clustered", unit="s"),
    )
    whole = Result(
        instrument="demo.half",
        title='with "quotes", commas',
        id="0",
        created="",
        config={},
        config_hash="",
        seed=4,
        values={"half": 1.5, "none": None},
        findings=(finding,),
        parts=(part,),
        measurements=(Measurement(key="loss", value=0.25, unit="nats", step=3, seed=9, group="a,b"),),
        claims=(
            ClaimCheck(claim=claim, observed=Estimate.exact(95), verdict="reproduced"),
            ClaimCheck(claim=claim, observed=None, verdict="not run"),
        ),
    )
    return [whole, part]


def test_json_is_one_array_of_full_records() -> None:
    texts = [json.dumps(each) for each in json.loads(export(sample(), "json"))]
    assert [from_json(Result, text) for text in texts] == sample()


def test_jsonl_is_one_full_record_a_line() -> None:
    assert [from_json(Result, line) for line in export(sample(), "jsonl").splitlines()] == sample()


def test_csv_has_every_number_once_parts_included() -> None:
    table = list(csv.DictReader(io.StringIO(export(sample()[:1], "csv"))))
    assert list(table[0]) == list(COLUMNS)
    told = [(row["run"], row["kind"], row["key"], row["value"], row["low"], row["high"]) for row in table]
    assert told == [
        ("0", "value", "half", "1.5", "", ""),
        ("0", "value", "none", "", "", ""),
        ("0", "predicted", "half", "1.5", "1.5", "1.5"),
        ("0", "measured", "half", "1.4", "1.2", "inf"),
        ("0", "measurement", "loss", "0.25", "", ""),
        ("0", "claim", "p8.depth", "95.0", "95.0", "95.0"),
        ("1", "value", "x", "7", "", ""),
    ]
    row = table[4]
    assert (row["step"], row["seed"], row["group"], row["unit"]) == ("3.0", "9", "a,b", "nats")
    assert table[3]["method"] == "t, clustered"
