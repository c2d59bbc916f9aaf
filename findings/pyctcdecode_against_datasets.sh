#!/usr/bin/env bash
# pyctcdecode and datasets install together, pip finds nothing wrong, and datasets cannot be imported.
#
# Guess, written first: if pip resolves both and "pip check" is content, both import; if the numpy versions
#   that they need exclude each other, pip refuses.
# Versions: pyctcdecode 0.5.0, datasets 5.2.0, pyarrow 26.0.1, numpy 1.26.4 (chosen by pip).
# Behavior: pyctcdecode asks for a numpy before 2 and gets it. pyarrow 26 is built for numpy 2 and looks at the
#   version only when imported; its metadata names no numpy at all, so no tool sees the conflict. The usual
#   pair for speech recognition with a language model ends in an ImportError that names neither package.
# Seen: "No broken requirements found.", then "pyarrow requires NumPy 2.0 or newer, found 1.26.4".
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m venv "$work/env"
"$work/env/bin/pip" install -q --no-compile pyctcdecode==0.5.0 datasets==5.2.0 pyarrow==26.0.1
"$work/env/bin/pip" check
"$work/env/bin/python" - <<'PY'
import importlib.metadata

assert importlib.metadata.version("numpy") == "1.26.4", importlib.metadata.version("numpy")
assert not any(need.startswith("numpy") for need in importlib.metadata.requires("pyarrow") or ())
try:
    import datasets
except ImportError as error:
    print(error)
    assert str(error) == "pyarrow requires NumPy 2.0 or newer, found 1.26.4"
else:
    raise SystemExit(f"datasets {datasets.__version__} imports now")
PY
