"""Times our step beside NetKet's: same function, samples, lattice, precision and threads, one interleaved run.

    OMP_NUM_THREADS=1 python benchmarks/quantum_netket/run.py --netket PATH/TO/netket-venv/bin/python

Each side is a process that answers commands; the sides take turns (A B B A ...), so that a busy machine slows both.
Equality of the functions is checked on NetKet's weights before anything is timed.
"""

import argparse
import json
import os
import platform
import tempfile
from pathlib import Path
from statistics import median

from side import HERE, Side


def summary(values):
    return {"median": median(values), "low": min(values), "high": max(values), "n": len(values)}


def speed(options, side, layers, method):
    """Seconds per step and its parts on one lattice."""
    theirs = Side.netket(options.netket, side, options.samples, method, layers)
    ours = Side.seqtant(side, options.samples, method, layers, "same", 10_000)
    with tempfile.TemporaryDirectory() as folder:
        path = theirs.ask(f"dump {folder}/weights.npz")["path"]
        difference = ours.ask(f"load {path}")["difference"]
    sides, found = {"netket": theirs, "seqtant": ours}, {}
    for part in ("step", "sample", "local_energy"):
        times = {name: [] for name in sides}
        for each in sides.values():
            each.ask(part)
        for turn in range(options.repeats):
            for name in list(sides) if turn % 2 == 0 else list(sides)[::-1]:
                times[name].append(sides[name].ask(part))
        found[part] = {
            name: {clock: summary([t[clock] for t in rows]) for clock in ("wall", "cpu")}
            for name, rows in times.items()
        }
        found[part]["ratio_cpu"] = found[part]["netket"]["cpu"]["median"] / found[part]["seqtant"]["cpu"]["median"]
        found[part]["ratio_wall"] = found[part]["netket"]["wall"]["median"] / found[part]["seqtant"]["wall"]["median"]
    versions = {**theirs.ready, **ours.ready}
    theirs.close()
    ours.close()
    row = {"side": side, "layers": layers, "method": method, "largest_difference_of_log_psi": difference, **found}
    print(
        json.dumps({k: row[k] for k in ("side", "layers", "method")} | {p: row[p]["ratio_cpu"] for p in found}),
        flush=True,
    )
    return row | {"versions": versions}


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--netket", required=True)
    parser.add_argument("--samples", type=int, default=1024)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--speed", nargs="*", default=["6:3:adam", "6:3:minsr"], help="side:layers:method")
    parser.add_argument("--out", type=Path, default=HERE.parent / "results" / "quantum_netket_6x6.json")
    options = parser.parse_args()
    record = {
        "machine": platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "samples": options.samples,
        "threads": os.environ.get("OMP_NUM_THREADS", "1"),
        "load_at_start": os.getloadavg(),
        "speed": [],
    }
    for text in options.speed:
        side, layers, method = text.split(":")
        record["speed"].append(speed(options, int(side), int(layers), method))
        options.out.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    record["load_at_end"] = os.getloadavg()
    options.out.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
