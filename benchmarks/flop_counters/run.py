"""Puts the same network before every counter and keeps what each says in ``benchmarks/results/flop_counters.json``.

    .venv/bin/python benchmarks/flop_counters/run.py --peers PYTHON --deepspeed PYTHON

Each counter runs in the environment it is installed in, in a process of its own, and answers in JSON.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from count import PEERS

FOLDER = Path(__file__).parent
README = FOLDER / "README.md"
START, END = "<!-- counts -->", "<!-- end of counts -->"
RESULTS = FOLDER.parent / "results" / "flop_counters.json"
TOKENS = 256
SIZES = {"n_layer": 4, "n_embd": 384, "n_head": 6, "n_positions": TOKENS, "vocab_size": 50257}


def ours() -> dict[str, float | str]:
    """Our own count of the same network, from its sizes alone."""
    wall, cpu = time.perf_counter(), time.process_time()
    from seqtant import __version__
    from seqtant.architecture.counting.accounting import count_flops, count_parameters
    from seqtant.architecture.families.decoder import read_decoder
    from seqtant.architecture.families.decoders import DECODERS
    from seqtant.architecture.families.fields import Fields

    bare = replace(DECODERS["gpt2"], biases=(False, False, False), norm_vectors=1)
    shape = read_decoder(Fields(SIZES | {"model_type": "gpt2"}, "benchmark", dict(bare.aliases)), bare)
    flops = count_flops(shape, TOKENS, scored=1).total
    return {
        "peer": "seqtant",
        "version": __version__,
        "flops": flops,
        "macs": flops // 2,
        "parameters": count_parameters(shape).total,
        "wall_seconds": time.perf_counter() - wall,
        "cpu_seconds": time.process_time() - cpu,
    }


def ask(python: str, name: str) -> dict[str, float | str]:
    """One counter's answer, from its own environment."""
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    command = [python, str(FOLDER / "count.py"), name]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    if done.returncode:
        return {"peer": name, "note": f"did not run: {done.stderr.strip().splitlines()[-1]}"}
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    """Asks all, keeps the record, writes the table of the README."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--peers", required=True, help="Python of the environment of all counters but DeepSpeed")
    parser.add_argument("--deepspeed", required=True, help="Python of DeepSpeed's environment")
    chosen = parser.parse_args()
    rows = [ours()]
    rows += [ask(chosen.deepspeed if name == "deepspeed" else chosen.peers, name) for name in PEERS]
    record = {
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "network": SIZES | {"biases": False, "tied": True, "scored tokens": 1},
        "tokens": TOKENS,
        "python": sys.version.split()[0],
        "peers": rows,
    }
    RESULTS.parent.mkdir(exist_ok=True)
    RESULTS.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    table = markdown(rows)
    page = README.read_text(encoding="utf-8")
    before, after = page.split(START)[0], page.split(END)[1]
    README.write_text(f"{before}{START}\n{table}{END}{after}", encoding="utf-8")
    print(table, end="")


def markdown(rows: list[dict[str, float | str]]) -> str:
    """The rows as a table, each count with its share of the exact one, which is ours."""
    exact = rows[0]
    lines = ["| counter | FLOPs | multiply-adds | parameters |", "| --- | ---: | ---: | ---: |"]
    for row in rows:
        cells = [f"{row['peer']} {row.get('version', '')}"]
        for key in ("flops", "macs", "parameters"):
            count = row.get(key)
            cells.append("-" if count is None else f"{int(count):,} ({float(count) / float(exact[key]):.4g})")
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
