"""Times our step beside NetKet's: same function, samples, lattice, precision and threads, one interleaved run.

    OMP_NUM_THREADS=1 python benchmarks/quantum_netket/run.py --netket PATH/TO/netket-venv/bin/python

Each side is a process that answers commands; the sides take turns (A B B A ...), so that a busy machine slows both.
Equality of the functions is checked on NetKet's weights before anything is timed.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import median

HERE = Path(__file__).parent


class Side:
    """One process that answers commands."""

    def __init__(self, command):
        env = os.environ | {"OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", "1")}
        self.process = subprocess.Popen(
            [str(x) for x in command], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=env
        )
        self.ready = self.read()

    def read(self):
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit(f"a side ended early with code {self.process.wait()}")
        return json.loads(line)

    def ask(self, command):
        self.process.stdin.write(command + "\n")
        self.process.stdin.flush()
        return self.read()

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def summary(values):
    return {"median": median(values), "low": min(values), "high": max(values), "n": len(values)}


def speed(options, side, layers, method):
    """Seconds per step and its parts on one lattice."""
    theirs = Side([options.netket, HERE / "peer.py", side, options.samples, method, layers])
    ours = Side([sys.executable, HERE / "ours.py", side, options.samples, method, layers, "same", 10_000])
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


def quality(options, side):
    """CPU seconds until we reach the energy at which NetKet's minSR ends; every step counted, compilation not."""
    theirs = Side([options.netket, HERE / "peer.py", side, options.samples, "minsr", 3])
    spent, curve = 0.0, []
    for _ in range(options.steps):
        spent += theirs.ask("step")["cpu"]
        curve.append((spent, theirs.ask("energy_of_step")["mean"]))
    final = theirs.ask("energy 16384")
    theirs.close()
    ours = Side([sys.executable, HERE / "ours.py", side, 512, "spring", 3, "default", options.steps])
    seconds, ours_curve, reached = 0.0, [], None
    while reached is None and len(ours_curve) < options.steps - 2:
        seconds += ours.ask("step")["cpu"]
        ours_curve.append((seconds, ours.ask("energy_of_step")["mean"]))
        if len(ours_curve) % 5 == 0:
            now = ours.ask("energy 8192")
            if now["mean"] + 2 * now["error"] <= final["mean"]:
                reached = {"cpu": seconds, "steps": len(ours_curve), **now}
    ours.close()
    ratio = None if reached is None else spent / reached["cpu"]
    print(
        json.dumps({"side": side, "netket_final": final, "netket_cpu": spent, "reached": reached, "ratio": ratio}),
        flush=True,
    )
    return {
        "side": side,
        "steps": options.steps,
        "netket_final": final,
        "netket_cpu_seconds": spent,
        "ours_reached": reached,
        "ratio_cpu": ratio,
        "netket_curve": curve,
        "ours_curve": ours_curve,
    }


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--netket", required=True)
    parser.add_argument("--samples", type=int, default=1024)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument("--speed", nargs="*", default=["6:3:adam", "6:3:minsr", "10:3:adam", "6:8:adam"])
    parser.add_argument("--quality", type=int, nargs="*", default=[6])
    parser.add_argument("--out", type=Path, default=HERE.parent / "results" / "quantum_netket.json")
    options = parser.parse_args()
    record = {
        "machine": platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "samples": options.samples,
        "threads": os.environ.get("OMP_NUM_THREADS", "1"),
        "load_at_start": os.getloadavg(),
        "speed": [],
        "quality": [],
    }
    for text in options.speed:
        side, layers, method = text.split(":")
        record["speed"].append(speed(options, int(side), int(layers), method))
        options.out.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    for side in options.quality:
        record["quality"].append(quality(options, side))
        record["load_at_end"] = os.getloadavg()
        options.out.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


main()
