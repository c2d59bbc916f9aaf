"""Every comparison with a peer as a row of one shape, read from the records in benchmarks/results."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

RESULTS = Path(__file__).parent / "results"

Record = dict[str, Any]


@dataclass(frozen=True)
class Row:
    """One job beside one peer."""

    job: str
    peer: str
    ratio: float
    """CPU seconds of the peer over ours: above 1, ours is faster."""
    low: float
    high: float
    outputs: str
    """What was compared before times were."""
    short: bool = False
    """Whether the README shows it."""


def _scoring(record: Record) -> Iterator[Row]:
    jobs = {"scores": "log-probability of every token", "choices": "ranking answers", "prefixes": "every prefix"}
    for key, job in jobs.items():
        for each in record[key]:
            ours = each["times"]["seqtant"]
            for peer in ("plain loop", "padded batches", "lm-eval"):
                if peer in each["times"]:
                    theirs = each["times"][peer]
                    yield Row(
                        f"{job}, {each['size']}",
                        peer,
                        theirs["cpu_seconds"] / ours["cpu_seconds"],
                        theirs["fastest"] / ours["slowest"],
                        theirs["slowest"] / ours["fastest"],
                        f"equal to {each['largest_difference']:.0e} nats",
                        short=peer == "lm-eval" and each["size"] == "6M",
                    )


def _shots(record: Record) -> Iterator[Row]:
    ours, theirs = record["seqtant"]["cpu_seconds"], record["lm-eval"]["cpu_seconds"]
    yield Row(
        f"accuracy after 0 to {record['shots']} shots, {record['queries']} queries",
        f"lm-eval {record['lm-eval']['version']}",
        median(theirs) / median(ours),
        min(theirs) / max(ours),
        max(theirs) / min(ours),
        f"equal to {record['largest_difference_nats']:.0e} nats",
        short=True,
    )


def _steering(record: Record) -> Iterator[Row]:
    versions = {name.partition(":")[2]: version for name, version in record["versions"].items()}

    def rows(job: str, cpu: Record, outputs: str, *, short: bool) -> Iterator[Row]:
        for peer, timed in cpu.items():
            if peer != "seqtant":
                name = peer.partition(":")[0]
                shown = peer.replace(name, f"{name} {versions[name]}").replace(":", ", ")
                yield Row(job, shown, timed["ratio"], timed["ratio_low"], timed["ratio_high"], outputs, short=short)

    size = record["shape"]["name"]
    for key, what in (("extraction_middle", "the middle blocks"), ("extraction_all", "all blocks")):
        if key in record:
            same = f"steering-vectors' to {record[key]['largest_difference_to_steering_vectors']:.0e}"
            yield from rows(f"steering vectors of {what}, {size}", record[key]["cpu"], same, short="middle" in key)
    if "sweep" in record:
        worst = max(record["sweep"]["largest_difference_in_log_probability"].values())
        job = f"sweep of {record['sweep']['strengths']} strengths, {size}"
        yield from rows(job, record["sweep"]["cpu"], f"equal to {worst:.0e} nats", short=size == "small")


def _packing(record: Record) -> Iterator[Row]:
    rows = record["rows"]
    for own, peer in (("seqtant best-fit", "TRL bfd_split"), ("seqtant wrapped", "TRL wrapped")):
        ratio = rows[peer]["cpu_seconds"] / rows[own]["cpu_seconds"]
        kept = rows[own]["tokens_kept"] - rows[peer]["tokens_kept"]
        fill = f"fill {rows[own]['fill']:.4f} beside {rows[peer]['fill']:.4f}"
        yield Row(
            f"packing {record['documents']:,} documents, {own.partition(' ')[2]}",
            peer.replace("TRL", f"TRL {record['peer']['trl']}"),
            ratio,
            ratio,
            ratio,
            f"{kept:+,} tokens kept, {fill}",
            short=own.endswith("fit"),
        )


def _ctc(record: Record) -> Iterator[Row]:
    same = f"scores equal to {record['score_difference']:.0e}"
    for name, peer in (("ctc_and_path_loop", "a loop over paths"), ("ctc_and_published", "the published procedure")):
        ours, theirs = record["loss"]["ctc_and_purpose"], record["loss"][name]
        yield Row(
            "CTC with a purpose, loss and gradient",
            peer,
            theirs["median_ms"] / ours["median_ms"],
            theirs["low_ms"] / ours["high_ms"],
            theirs["high_ms"] / ours["low_ms"],
            same,
            short=name.endswith("published"),
        )


def _evidence(record: Record) -> Iterator[Row]:
    ratios = [each["times_fewer_cpu_seconds"] for each in record["repeats"]]
    yield Row(
        "divergence along prompts, at an equal standard error",
        f"{record['samples']} samples per prefix",
        median(ratios),
        min(ratios),
        max(ratios),
        "same curve within its error",
        short=True,
    )


def _netket(record: Record) -> Iterator[Row]:
    for each in record["speed"]:
        theirs, ours = each["step"]["netket"]["cpu"], each["step"]["seqtant"]["cpu"]
        yield Row(
            f"one step, {each['side']}x{each['side']} spins, {each['layers']} layers, {each['method']}",
            f"NetKet {each['versions']['netket']}",
            theirs["median"] / ours["median"],
            theirs["low"] / ours["high"],
            theirs["high"] / ours["low"],
            f"log psi equal to {each['largest_difference_of_log_psi']:.0e}",
            short=True,
        )


def _energy(record: Record) -> Iterator[Row]:
    target = record["best"]["final"]
    for name in ("minsr", "spring"):
        ratios = [race["ratio"][name] for race in record["races"]]
        spent = [race["reached"][name]["steps"] for race in record["races"]]
        theirs = [race["reached"]["netket"]["steps"] for race in record["races"]]
        yield Row(
            f"time to NetKet's final energy, 6x6 spins, {name}",
            f"NetKet {record['scan'][0]['versions']['netket']} minsr",
            median(ratios),
            min(ratios),
            max(ratios),
            f"{target['mean']:.3f} after {median(spent):.0f} steps beside {median(theirs):.0f}",
            short=True,
        )


SOURCES: dict[str, Callable[[Record], Iterator[Row]]] = {
    "scoring*.json": _scoring,
    "icl_harness.json": _shots,
    "steering_peers_*.json": _steering,
    "pretraining_packing.json": _packing,
    "ctc_cost_cpu_*.json": _ctc,
    "beb_evidence.json": _evidence,
    "quantum_netket_*.json": _netket,
    "quantum_time_to_energy.json": _energy,
}


def rows() -> list[Row]:
    """Every comparison that has a record."""
    return [
        row for pattern, read in SOURCES.items() for path in sorted(RESULTS.glob(pattern)) for row in read(load(path))
    ]


def load(path: Path) -> Record:
    """One stored record."""
    return json.loads(path.read_text(encoding="utf-8"))
