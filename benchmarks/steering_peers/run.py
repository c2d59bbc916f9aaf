"""Extraction, steered generation and a sweep, beside repeng and steering-vectors; outputs are compared before times.

    OMP_NUM_THREADS=1 .venv/bin/python benchmarks/steering_peers/run.py --peers PYTHON [--shape small|1b]

Each side runs in its own environment and process; jobs are interleaved, CPU seconds are counted, medians reported.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import statistics
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from model import SHAPES, texts, write
from tables import write_tables

FOLDER = Path(__file__).parent
RESULTS = FOLDER.parent / "results"
SIDES = ("seqtant", "repeng", "steering-vectors")
STRENGTHS = [float(value) for value in np.linspace(-4, 4, 21)]


class Worker:
    """A side in its own process."""

    def __init__(self, python: str, side: str, model: Path) -> None:
        environment = os.environ | {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "TQDM_DISABLE": "1"}
        command = [python, str(FOLDER / "worker.py"), side, str(model)]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        )

    def ask(self, **job: Any) -> dict[str, Any]:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps(job) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"a worker died on {job['job']}")
        return json.loads(line)


def interleaved(workers: dict[str, Worker], repeats: int, jobs: dict[str, dict[str, Any]]) -> dict[str, Any]:
    """Asks all sides in turn, so that a busy machine slows them alike; one warm-up round is thrown away."""
    times: dict[str, list[float]] = {name: [] for name in jobs}
    outputs: dict[str, Any] = {}
    for round_ in range(repeats + 1):
        # There and back again: what runs second on warm caches runs first in the next round.
        for name, job in list(jobs.items())[:: 1 if round_ % 2 else -1]:
            answer = workers[name.split(":")[0]].ask(**job)
            outputs[name] = answer["output"]
            if round_:
                times[name].append(answer["seconds"])
    return {"times": times, "outputs": outputs}


def ratios(times: dict[str, list[float]], base: str) -> dict[str, dict[str, float]]:
    """Median CPU seconds, and the median over rounds of the ratio to a base, with its quartiles."""
    table = {}
    for name, own in times.items():
        share = [a / b for a, b in zip(own, times[base], strict=True)]
        low, middle, high = np.quantile(share, [0.25, 0.5, 0.75])
        table[name] = {"seconds": statistics.median(own), "ratio": middle, "ratio_low": low, "ratio_high": high}
    return table


def extraction(workers: dict[str, Worker], layers: list[int], repeats: int) -> tuple[dict[str, Any], Any]:
    found = interleaved(workers, repeats, {side: {"job": "extract", "layers": layers} for side in SIDES})
    ours, theirs = (found["outputs"][side] for side in ("seqtant", "steering-vectors"))
    difference = max(np.abs(np.array(ours[k]) - np.array(theirs[k])).max() for k in ours)
    cosine = min(
        abs(np.dot(ours[k], found["outputs"]["repeng"][k]))
        / np.linalg.norm(ours[k])
        / np.linalg.norm(found["outputs"]["repeng"][k])
        for k in ours
    )
    record = {
        "layers": layers,
        "largest_difference_to_steering_vectors": float(difference),
        "least_cosine_to_repeng_pca": float(cosine),
        "cpu": ratios(found["times"], "seqtant"),
    }
    return record, ours


def generation(workers: dict[str, Worker], rows: Any, repeats: int, tokens: int, batch: int) -> dict[str, Any]:
    """Unsteered and steered by each side; each side's own unsteered time is its base (other transformers versions)."""
    job = {"job": "generate", "strength": 30.0, "tokens": tokens, "batch": batch}
    # A side's jobs stand next to each other, so that the machine's moods touch them alike.
    kinds = {"plain": dict(job), "steered": job | {"rows": rows}}
    jobs = {f"{side}:{kind}": own for side in workers for kind, own in kinds.items()}
    jobs = {"seqtant:hooks": kinds["steered"] | {"hooks": True}} | jobs
    found = interleaved(workers, repeats, jobs)
    out = found["outputs"]
    record = {"blocks": len(rows), "batch": batch, "tokens": tokens, "rounds": repeats}
    for name in jobs:
        side, _, kind = name.partition(":")
        if kind != "plain":
            times = {kind: found["times"][name], "plain": found["times"][f"{side}:plain"]}
            record[side if kind == "steered" else name] = ratios(times, "plain")[kind]
    others = [name for name in jobs if not name.endswith(":plain") and name != "seqtant:steered"]
    record["equal_tokens"] = {name: out["seqtant:steered"] == out[name] for name in others}
    record["steering_changed_tokens"] = out["seqtant:steered"] != out["seqtant:plain"]
    return record


def sweeping(workers: dict[str, Worker], rows: Any, repeats: int, shape: dict[str, int]) -> dict[str, Any]:
    job = {"job": "sweep", "rows": rows, "strengths": STRENGTHS}
    jobs = {"seqtant": job} | {
        f"{side}:{name}": job | {"last": name == "last logits"}
        for side in SIDES[1:]
        for name in ("all logits", "last logits")
    }
    found = interleaved(workers, repeats, jobs)
    ours = np.array(found["outputs"]["seqtant"])
    (layer,) = rows
    return {
        "strengths": len(STRENGTHS),
        "largest_difference_in_log_probability": {
            name: float(np.abs(ours - np.array(out)).max()) for name, out in found["outputs"].items() if ":" in name
        },
        "cpu": ratios(found["times"], "seqtant"),
        "multiplications": {
            name: workers[name.split(":")[0]].ask(**job, count=True)["multiplications"] for name, job in jobs.items()
        },
        "fewest_multiplications": fewest(shape, int(layer), [positive for positive, _ in texts()[:16]]),
    }


def fewest(shape: dict[str, int], layer: int, prompts: list[str]) -> int:
    """Multiplications by weights that no exact sweep of next-token probabilities at one steered block can save.

    Every beginning of a prompt (a token is a byte here) is read by the blocks up to the steered one once, and by each
    block above it once per strength; the last of these needs only keys and values where nothing is scored.
    """
    width, heads = shape["hidden_size"], shape["num_attention_heads"]
    keys = 2 * width * width // heads * shape["num_key_value_heads"]
    block = 2 * width * width + keys + 3 * width * shape["intermediate_size"]
    beginnings = {prompt[:end] for prompt in prompts for end in range(1, len(prompt) + 1)}
    ends = len(set(prompts))
    above = shape["num_hidden_layers"] - 1 - layer
    read = len(beginnings) * (above - 1) * block + (len(beginnings) - ends) * keys + ends * block
    return len(beginnings) * (layer + 1) * block + len(STRENGTHS) * (read + ends * width * shape["vocab_size"])


def extracted(workers: dict[str, Worker], depth: int, repeats: int, *, everywhere: bool) -> dict[str, Any]:
    found = {"extraction_middle": extraction(workers, middle(depth), repeats)[0]}
    return found | ({"extraction_all": extraction(workers, list(range(depth)), repeats)[0]} if everywhere else {})


def generated(workers: dict[str, Worker], depth: int, repeats: int, *, small: bool) -> list[dict[str, Any]]:
    rows = workers["seqtant"].ask(job="extract", layers=list(range(depth)))["output"]
    one = {str(middle(depth)[0]): rows[str(middle(depth)[0])]}
    jobs = ((one, 1), (rows, 1), (rows, 8)) if small else ((rows, 1),)
    # Eight rows take longer and vary less.
    rounds = {1: repeats, 8: max(3, repeats // 3)}
    tokens = 64 if small else 8
    return [generation(workers, own, rounds[batch], tokens, batch) for own, batch in jobs]


def merged(old: list[dict[str, Any]], new: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Sides that were timed keep their place beside those that were not: each is held against itself alone."""
    old = old or [{} for _ in new]
    return [
        before | after | {"equal_tokens": before.get("equal_tokens", {}) | after["equal_tokens"]}
        for before, after in zip(old, new, strict=True)
    ]


def swept(workers: dict[str, Worker], shape: dict[str, int], repeats: int) -> dict[str, Any]:
    rows = workers["seqtant"].ask(job="extract", layers=middle(shape["num_hidden_layers"])[:1])["output"]
    return {"sweep": sweeping(workers, rows, repeats, shape)}


def middle(depth: int) -> list[int]:
    """The two blocks in the middle."""
    return [depth // 2 - 1, depth // 2]


def main() -> None:
    """Runs all or one part, keeps the record, prints it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peers", required=True, help="Python of the environment with repeng and steering-vectors")
    parser.add_argument("--shape", choices=list(SHAPES), default="small")
    parser.add_argument("--repeats", type=int, default=8)
    parser.add_argument("--pairs", type=int, default=64)
    parser.add_argument("--part", choices=["extraction", "generation", "sweep"], help="this part only")
    parser.add_argument("--ours", action="store_true", help="generation: time our side only, keep the others' record")
    chosen = parser.parse_args()
    if chosen.ours and chosen.part != "generation":
        parser.error("--ours goes with --part generation: elsewhere sides are held against each other")
    depth, small = SHAPES[chosen.shape]["num_hidden_layers"], chosen.shape == "small"
    parts = {
        "extraction": lambda workers: extracted(workers, depth, chosen.repeats, everywhere=small),
        "generation": lambda workers: {
            "generation": merged(record.get("generation", []), generated(workers, depth, chosen.repeats, small=small))
        },
    }
    if small:
        parts["sweep"] = lambda workers: swept(workers, SHAPES[chosen.shape], chosen.repeats)
    path = RESULTS / f"steering_peers_{chosen.shape}.json"
    record = json.loads(path.read_text(encoding="utf-8")) if chosen.part and path.is_file() else {"made": {}}
    record |= {"shape": SHAPES[chosen.shape] | {"name": chosen.shape}, "versions": versions(chosen.peers)}
    with tempfile.TemporaryDirectory() as place:
        write(Path(place), chosen.shape, pairs=chosen.pairs)
        sides = SIDES[:1] if chosen.ours else SIDES
        pythons = {side: chosen.peers if side != "seqtant" else sys.executable for side in sides}
        workers = {side: Worker(python, side, Path(place)) for side, python in pythons.items()}
        for name, run in parts.items():
            if chosen.part in (None, name):
                load = [os.getloadavg()[0]]
                record |= run(workers)
                record["made"][f"{name}, ours" if chosen.ours else name] = {
                    "created": datetime.now(UTC).isoformat(timespec="seconds"),
                    "repeats": chosen.repeats,
                    "pairs": chosen.pairs,
                    "load": [*load, os.getloadavg()[0]],
                }
    RESULTS.mkdir(exist_ok=True)
    path.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    write_tables(FOLDER / "README.md", RESULTS)
    print(json.dumps(record, indent=1))


def versions(peers: str) -> dict[str, str]:
    code = (
        "import importlib.metadata as m, json; "
        "print(json.dumps({n: m.version(n) for n in ('repeng', 'steering-vectors', 'transformers', 'torch')}))"
    )
    done = subprocess.run([peers, "-c", code], capture_output=True, text=True, check=True)
    ours = {f"ours:{name}": importlib.metadata.version(name) for name in ("seqtant", "transformers", "torch")}
    return {f"peers:{k}": v for k, v in json.loads(done.stdout).items()} | ours


if __name__ == "__main__":
    main()
