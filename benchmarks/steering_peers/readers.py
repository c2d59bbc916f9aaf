"""Reads a control vector of ours in repeng and in llama.cpp itself, and compares every number.

    .venv/bin/python benchmarks/steering_peers/readers.py --peers PYTHON --llama PYTHON

``--peers`` is the Python of an environment with repeng, ``--llama`` of one with xllamacpp, wheels of llama.cpp; its
loader of control vectors is called through a few lines of C++ (g++), since no Python binding names it. Writing the file
needs ``pip install 'seqtant[gguf]'``.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

from seqtant.steering.vectors.interop import write_gguf
from seqtant.steering.vectors.vector import Origin, SteeringVector

RESULT = Path(__file__).parent.parent / "results" / "steering_readers.json"
DEPTH, WIDTH, STRENGTH = 8, 256, 2.5

REPENG = """
import importlib.metadata, json, sys
from repeng import ControlVector
read = ControlVector.import_gguf(sys.argv[1])
rows = {layer: row.tolist() for layer, row in read.directions.items()}
print(json.dumps({"version": importlib.metadata.version("repeng"), "rows": rows}))
"""

SHIM = """
#include <string>
#include <vector>
struct common_control_vector_load_info { float strength; std::string fname; };
struct common_control_vector_data { int n_embd; std::vector<float> data; };
common_control_vector_data common_control_vector_load(const std::vector<common_control_vector_load_info> & infos);
extern "C" int load(const char * path, float * out, int room) {
    auto read = common_control_vector_load({{1.0f, path}});
    if (read.n_embd < 1 || (int) read.data.size() > room) return -1;
    for (size_t i = 0; i < read.data.size(); i++) out[i] = read.data[i];
    return read.data.size() / read.n_embd;
}
"""

LLAMA = """
import ctypes, importlib.metadata, json, os, sys
sys.setdlopenflags(os.RTLD_GLOBAL | os.RTLD_NOW)
import xllamacpp
path, shim, width = sys.argv[1], ctypes.CDLL(sys.argv[2]), int(sys.argv[3])
room = 1000 * width
out = (ctypes.c_float * room)()
count = shim.load(path.encode(), out, room)
rows = {k + 1: list(out[k * width : (k + 1) * width]) for k in range(max(count, 0))}
print(json.dumps({"version": importlib.metadata.version("xllamacpp"), "rows": rows}))
"""


def asked(python: str, code: str, *arguments: str) -> dict[str, Any]:
    """What a reader in its own environment says."""
    done = subprocess.run([python, "-c", code, *arguments], capture_output=True, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def compared(vector: SteeringVector, said: dict[str, Any]) -> dict[str, Any]:
    """Largest difference to what was written; blocks that are not steered must be zero, block 0 must be missing."""
    rows = {int(layer): torch.tensor(row) for layer, row in said["rows"].items()}
    wanted = {k: STRENGTH * vector.directions.get(k, torch.zeros(WIDTH)) for k in range(1, DEPTH)}
    if rows.keys() != wanted.keys():
        raise RuntimeError(f"the reader found blocks {sorted(rows)}, written were {sorted(wanted)}")
    difference = max(float((rows[k] - wanted[k]).abs().max()) for k in wanted)
    return {"version": said["version"], "blocks": len(rows), "largest_difference": difference}


def main() -> None:
    """Writes, lets read, keeps the record."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--peers", required=True)
    parser.add_argument("--llama", required=True)
    chosen = parser.parse_args()
    generator = torch.Generator().manual_seed(0)
    directions = {layer: torch.randn(WIDTH, generator=generator) for layer in (2, 3, 5)}
    vector = SteeringVector(directions, origin=Origin(model_type="llama", depth=DEPTH))
    with tempfile.TemporaryDirectory() as place:
        file, source, shim = (str(Path(place) / name) for name in ("v.gguf", "shim.cpp", "shim.so"))
        write_gguf(vector, Path(file), strength=STRENGTH)
        Path(source).write_text(SHIM, encoding="utf-8")
        # The wheels are built for old systems, where a std::string is another one than today's.
        subprocess.run(["g++", "-D_GLIBCXX_USE_CXX11_ABI=0", "-shared", "-fPIC", "-o", shim, source], check=True)
        record = {
            "created": datetime.now(UTC).isoformat(timespec="seconds"),
            "repeng": compared(vector, asked(chosen.peers, REPENG, file)),
            "llama.cpp": compared(vector, asked(chosen.llama, LLAMA, file, shim, str(WIDTH))),
        }
    RESULT.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(record, indent=1))


if __name__ == "__main__":
    main()
