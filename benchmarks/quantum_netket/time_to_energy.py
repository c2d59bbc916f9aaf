"""CPU seconds to the energy at which NetKet's own best setting ends: 6x6 open Ising, field 3, minSR on both sides.

    OMP_NUM_THREADS=1 python benchmarks/quantum_netket/time_to_energy.py --netket PATH/TO/netket-venv/bin/python

First NetKet runs a fixed number of steps with each of several learning rates and diagonal shifts; the setting that ends
lowest, evaluated with many samples, sets the target. Then NetKet with that setting and ours start afresh from new seeds
and take turns until each has reached the target: the first step at which the mean of the last ten energies is not above
it. Steps use equally many samples. Two first steps, in which NetKet compiles, count as steps of median cost.
"""

import argparse
import json
import os
from pathlib import Path
from statistics import mean, median

from side import HERE, Side

SIDE, LAYERS = 6, 3
WINDOW = 10
"""Energies of steps that are averaged before they are compared with the target."""
TURN = 5
"""Steps that one side takes before the next one does."""
OURS = {
    "minsr": ("minsr", "default"),
    "spring": ("spring", "default"),
    "minsr, longer steps": ("minsr", "bold"),
    "spring, longer steps": ("spring", "bold"),
    "minsr, NetKet's function": ("minsr", "same"),
}
"""Our sides: the method, and whether the network and the rates are our own or NetKet's; "bold" lets steps be longer."""


class Run:
    """A side, and the energies and CPU seconds of its steps."""

    def __init__(self, side):
        self.side = side
        self.seconds, self.energies, self.errors = [], [], []

    def step(self):
        """Takes a step."""
        self.seconds.append(self.side.ask("step")["cpu"])
        found = self.side.ask("energy_of_step")
        self.energies.append(found["mean"])
        self.errors.append(found["error"])

    def reached(self, target):
        """Step and CPU seconds at which the running mean first was not above a target; None if it never was."""
        for last in range(WINDOW, len(self.energies) + 1):
            window = slice(last - WINDOW, last)
            if mean(self.energies[window]) <= target:
                error = sum(e**2 for e in self.errors[window]) ** 0.5 / WINDOW
                spent = sum(self.seconds[:last]) + 2 * median(self.seconds)
                return {"steps": last + 2, "cpu": spent, "mean": mean(self.energies[window]), "error": error}
        return None


def scan(options, rate, shift):
    """NetKet with one setting: its energies step by step, and the one at which it ends."""
    run = Run(Side.netket(options.netket, SIDE, options.samples, "minsr", LAYERS, rate, shift, 0))
    for _ in range(options.steps - 2):
        run.step()
    final = run.side.ask(f"energy {options.evaluation}")
    run.side.close()
    print(json.dumps({"rate": rate, "shift": shift, "final": final}), flush=True)
    return {
        "rate": rate,
        "shift": shift,
        "final": final,
        "cpu_per_step": median(run.seconds),
        "energies": [round(x, 4) for x in run.energies],
        "versions": run.side.ready,
    }


def race(options, best, seed):
    """Everybody from one seed, in turns, until the target is reached or the steps are used up."""
    command = (options.netket, SIDE, options.samples, "minsr", LAYERS, best["rate"], best["shift"], seed)
    runs = {"netket": Run(Side.netket(*command))}
    for name, (method, kind) in OURS.items():
        runs[name] = Run(Side.seqtant(SIDE, options.samples, method, LAYERS, kind, options.steps, seed))
    target, found = best["final"]["mean"], dict.fromkeys(runs)
    for _ in range((options.steps - 2) // TURN):
        for name, run in runs.items():
            for _ in range(0 if found[name] else TURN):
                run.step()
            found[name] = run.reached(target)
    parameters = {name: run.side.ready.get("parameters") for name, run in runs.items()}
    for run in runs.values():
        run.side.close()
    result = {
        "seed": seed,
        "reached": found,
        "parameters": parameters,
        "cpu_per_step": {name: median(run.seconds) for name, run in runs.items()},
        "energies": {name: [round(x, 4) for x in run.energies] for name, run in runs.items()},
        "ratio": {name: _ratio(found["netket"], found[name]) for name in OURS},
    }
    print(json.dumps({k: result[k] for k in ("seed", "reached", "ratio")}), flush=True)
    return result


def _ratio(theirs, ours):
    return theirs["cpu"] / ours["cpu"] if theirs and ours else None


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--netket", required=True)
    parser.add_argument("--samples", type=int, default=1024)
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--evaluation", type=int, default=1 << 16)
    parser.add_argument("--scan", nargs="*", default=["0.02:1e-3", "0.05:1e-3", "0.02:1e-4"])
    parser.add_argument("--race", type=int, nargs="*", default=[1, 2, 3], help="seeds")
    parser.add_argument("--out", type=Path, default=HERE.parent / "results" / "quantum_time_to_energy.json")
    options = parser.parse_args()
    record = json.loads(options.out.read_text(encoding="utf-8")) if options.out.is_file() else {}
    record |= {"samples": options.samples, "steps": options.steps, "window": WINDOW, "cores": os.cpu_count()}
    for setting in options.scan:
        rate, shift = (float(x) for x in setting.split(":"))
        others = [row for row in record.get("scan", []) if (row["rate"], row["shift"]) != (rate, shift)]
        record["scan"] = [*others, scan(options, rate, shift)]
        options.out.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    best = min(record["scan"], key=lambda row: row["final"]["mean"])
    record["best"] = {key: best[key] for key in ("rate", "shift", "final")}
    for seed in options.race:
        others = [row for row in record.get("races", []) if row["seed"] != seed]
        record["races"] = [*others, race(options, best, seed)]
        options.out.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    options.out.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
