"""Every causal family of the installed transformers, as a tiny random model: read rightly, or refused in one line?

    OMP_NUM_THREADS=1 .venv/bin/python benchmarks/families/run.py [FAMILY ...] [--checkup]

Truth is one plain forward pass of the network in float32, without a mask, a cache or anything of ours. Writes
``benchmarks/results/families.json`` after every family: a killed run goes on where it was, a finished one starts anew,
and families that are named are always run again.
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import signal
import sys
import tempfile
import time
import warnings
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")

import torch
from torch import Tensor

FOLDER = Path(__file__).parent
sys.path.insert(0, str(FOLDER))
RESULTS = FOLDER.parent / "results" / "families.json"

from tiny import VOCABULARY, classes, make, save

TOLERANCE = 1e-4
"""Nats by which a score may be off."""
TIME_LIMIT = 120
"""Seconds for one family."""
NEW_TOKENS = 6
LENGTHS = (40, 23, 9, 2)
"""Tokens of the sequences that are scored side by side."""
SECTIONS = ("architecture", "steering")
"""Sections of the checkup that are asked: the cheapest, and the cheapest that reads states inside the network."""
WORDS = ("i", "you", "he", "she", "we", "they", "it", "the", "a", "is", "are", "was")


class OutOfTimeError(BaseException):
    """Ends a family that takes too long, past every handler of ordinary errors."""


def kinds() -> list[str]:
    """``model_type`` of every causal family that transformers knows."""
    from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES

    return list(MODEL_FOR_CAUSAL_LM_MAPPING_NAMES)


def tokens(network: Any) -> list[int]:
    """Ordinary tokens, all different: none that the configuration gives a meaning."""
    fields = vars(network.config.get_text_config(decoder=True)).items()
    special = {value for name, value in fields if name.endswith("token_id") and isinstance(value, int)}
    order = torch.randperm(VOCABULARY, generator=torch.Generator().manual_seed(2)).tolist()
    return [token for token in order if 3 < token < 256 and token not in special]


@torch.no_grad()
def plain(network: Any, ids: Sequence[int]) -> Tensor:
    """Log-probabilities after each token, from one plain call of the network, (time, vocabulary)."""
    return network(input_ids=torch.tensor([list(ids)]), use_cache=False).logits[0].double().log_softmax(-1)


def scores(network: Any, ids: Sequence[int]) -> Tensor:
    """Log-probability of each token after the first."""
    return plain(network, ids)[:-1].gather(1, torch.tensor(list(ids[1:]))[:, None])[:, 0]


def largest(pairs: Sequence[tuple[Tensor, Tensor]]) -> float:
    """Largest distance between what was found and the truth; infinite where one of them is no number."""
    return max(float(torch.nan_to_num((found - true).abs(), nan=float("inf")).max()) for found, true in pairs)


def error_whole(model: Any, network: Any, ids: list[int]) -> float:
    """Nats by which the scores of a whole sequence are off."""
    from seqtant.lm import token_log_probs

    (found,) = token_log_probs(model, [ids[:40]])
    return largest([(found, scores(network, ids[:40]))])


def error_continuations(model: Any, network: Any, ids: list[int]) -> float:
    """Nats by which the scores of several continuations of one prefix are off."""
    from seqtant.lm import continuation_log_probs

    prefix, ends = ids[:20], [ids[20:30], ids[30:33], ids[33:38], ids[38:39]]
    found = continuation_log_probs(model, prefix, ends)
    return largest([(line, scores(network, prefix + end)[-len(end) :]) for line, end in zip(found, ends, strict=True)])


def error_batches(model: Any, network: Any, ids: list[int]) -> float:
    """Nats by which rows of unlike length are off, padded on the right and, below shared prefixes, on the left."""
    from seqtant.lm import batch_continuation_log_probs, token_log_probs

    rows = [ids[start : start + length] for start, length in enumerate(LENGTHS)]
    pairs = [(line, scores(network, row)) for line, row in zip(token_log_probs(model, rows), rows, strict=True)]
    prefixes, ends = [ids[:21], ids[50:56]], [ids[60:70], ids[70:73], ids[73:74]]
    found = batch_continuation_log_probs(model, prefixes, [ends, ends])
    for prefix, own in zip(prefixes, found, strict=True):
        pairs += [(line, scores(network, prefix + end)[-len(end) :]) for line, end in zip(own, ends, strict=True)]
    return largest(pairs)


def same_tokens(model: Any, network: Any, ids: list[int]) -> bool:
    """Whether greedy generation of unlike prompts side by side takes the likeliest token of a plain pass each time."""
    from seqtant.lm import Sampling, generate

    prompts = [ids[:5], ids[5:28], ids[30:44]]
    made = generate(model, prompts, max_tokens=NEW_TOKENS, sampling=Sampling(temperature=0), stop_ids=[])
    for prompt, line in zip(prompts, made, strict=True):
        whole = list(prompt)
        for _ in range(NEW_TOKENS):
            whole.append(int(plain(network, whole)[-1].argmax()))
        if line.tokens != whole[len(prompt) :]:
            return False
    return True


def first_line(error: BaseException) -> str:
    """Type and first line of an error."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[0] if lines else ''}"[:300]


def row(kind: str, folder: Path, *, checkup: bool = False, **own: Any) -> dict[str, Any]:
    """Makes a tiny model of a family, reads it by every way, and says how far each is from the truth.

    Args:
        kind: The family's ``model_type``.
        folder: Where the model is saved.
        checkup: Whether to run the checkup too.
        **own: Fields of its configuration, see :func:`tiny.make`.

    Returns:
        ``not_built`` alone, or what was found; ``refusals`` and ``faults`` by what was asked.
    """
    from seqtant import architecture
    from seqtant.errors import InputError
    from seqtant.lm import load

    try:
        found: dict[str, Any] = {"family": kind, "network": classes(kind)[0].__name__}
        network = make(kind, **own)
        save(network, folder)
    except Exception as error:  # transformers lets errors of every kind through
        return {"family": kind, "not_built": first_line(error)}
    refusals, faults = found.setdefault("refusals", {}), found.setdefault("faults", {})

    def ask(what: str, question: Callable[[], Any]) -> Any:
        try:
            return question()
        except InputError as error:
            if "\n" in str(error):
                faults[what] = f"InputError of several lines: {str(error).splitlines()[0]}"
            else:
                # The folder is one of a moment: its name says nothing.
                refusals[what] = str(error).replace(f"{folder}", "FOLDER").replace(folder.name, kind)
        except Exception as error:  # what a user must never see: it is kept as a fault
            faults[what] = first_line(error)
        return None

    ids = tokens(network)
    found["parameters"] = sum(parameter.numel() for parameter in network.parameters())
    try:
        changed = [*ids[:39], ids[40]]
        found["moved_by_a_later_token"] = largest([(plain(network, changed)[:-1], plain(network, ids[:40])[:-1])])
        if found["moved_by_a_later_token"] == float("inf"):
            found["not_read"] = "the plain forward pass gives no numbers"
    except Exception as error:  # as above
        found["not_read"] = first_line(error)
    model = ask("load", lambda: load(folder))
    if model is not None:
        found["probe"] = {"causal": True} | asdict(model.abilities)
    elif "looks ahead" in refusals.get("load", ""):
        found["probe"] = {"causal": False}
    if model is not None and "not_read" not in found:
        found["errors"] = {
            "saved": ask("saved", lambda: largest([(plain(model.model, ids[:40]), plain(network, ids[:40]))])),
            "whole": ask("whole", lambda: error_whole(model, network, ids)),
            "continuations": ask("continuations", lambda: error_continuations(model, network, ids)),
            "batches": ask("batches", lambda: error_batches(model, network, ids)),
        }
        found["same_tokens"] = ask("generation", lambda: same_tokens(model, network, ids))
    found["audited"] = ask("audit", lambda: architecture.audit(str(folder)).values["parameters"])
    if checkup:
        found["checkup"] = checked(folder)
    return found


def checked(folder: Path) -> dict[str, str]:
    """What became of a checkup's sections on the architecture and on steering: ``ok``, a refusal, or an error."""
    import seqtant
    from seqtant.errors import InputError

    pairs = [{"positive": f"{word} yes", "negative": f"{word} no"} for word in WORDS]
    prompts = [{"prompt": f"{word} {other}", "good": ["yes"], "bad": ["no"]} for word in WORDS for other in WORDS[:2]]
    asked = [{"prompt": each["prompt"], "options": ["yes", "no"], "answer": "yes"} for each in prompts]
    try:
        result = seqtant.checkup(str(folder), only=SECTIONS, behavior=[*pairs, *prompts, *asked])
    except InputError as error:
        return dict.fromkeys(SECTIONS, str(error).replace(str(folder), "FOLDER"))
    except Exception as error:  # kept as it came
        return dict.fromkeys(SECTIONS, first_line(error))
    lines = dict.fromkeys(SECTIONS, "not asked")
    for part in result.parts:
        failed = part.status == "failed"
        said = part.warnings[0].replace(str(folder), "FOLDER").replace(folder.name, "FOLDER") if failed else "ok"
        lines[part.instrument.partition(".")[0]] = said
    return lines


def verdict(found: dict[str, Any]) -> str:
    """What a row says: right, wrong, refused (all in one line), fault (any other error) or not built."""
    if "not_built" in found:
        return "not built"
    if found["faults"]:
        return "fault"
    if "load" in found["refusals"]:
        return "refused"
    errors = [error for error in found.get("errors", {}).values() if error is not None]
    counted = found["audited"] in (None, found["parameters"])
    if "not_read" in found or max(errors) > TOLERANCE or found["same_tokens"] is False or not counted:
        return "wrong"
    return "refused" if found["refusals"] else "right"


def measured(kind: str, *, checkup: bool) -> dict[str, Any]:
    """The row of a family within its time."""

    def stop(_number: int, _frame: FrameType | None) -> None:
        raise OutOfTimeError

    signal.signal(signal.SIGALRM, stop)
    signal.alarm(TIME_LIMIT)
    start = time.process_time()
    try:
        with warnings.catch_warnings(), tempfile.TemporaryDirectory(prefix="family-") as folder:
            warnings.simplefilter("ignore")
            found = row(kind, Path(folder), checkup=checkup)
    except OutOfTimeError:
        found = {"family": kind, "refusals": {}, "faults": {"time": f"not done within {TIME_LIMIT} s"}}
    finally:
        signal.alarm(0)
    gc.collect()
    return found | {"verdict": verdict(found), "cpu_seconds": round(time.process_time() - start, 2)}


def main() -> None:
    """Runs every family, or those that are named, and keeps each row."""
    import transformers

    from seqtant.runs.recorder import environment

    torch.set_num_threads(1)
    transformers.logging.set_verbosity(50)
    transformers.logging.disable_progress_bar()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("families", nargs="*", metavar="FAMILY", help="model types; all where none is named")
    parser.add_argument("--checkup", action="store_true", help="run two sections of the checkup too")
    chosen = parser.parse_args()
    known = kinds()
    if strange := [kind for kind in chosen.families if kind not in known]:
        parser.error(f"transformers {transformers.__version__} has no causal family {', '.join(strange)}")
    head = {"transformers": transformers.__version__, "torch": torch.__version__, "tolerance": TOLERANCE}
    stored = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.is_file() else {}
    same = all(stored.get(name) == value for name, value in head.items())
    rows = {each["family"]: each for each in stored.get("families", [])} if same else {}
    if chosen.families:
        wanted = chosen.families
    else:
        if stored.get("complete"):
            rows = {}
        wanted = [kind for kind in known if kind not in rows]
    for kind in wanted:
        rows[kind] = measured(kind, checkup=chosen.checkup)
        record = head | {
            "created": datetime.now(UTC).isoformat(timespec="seconds"),
            "environment": environment(),
            "complete": len(rows) == len(known),
            "families": [rows[name] for name in known if name in rows],
        }
        # A killed run must not leave half a file.
        part = RESULTS.with_suffix(".part")
        part.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
        part.replace(RESULTS)
        print(f"{kind:28} {rows[kind]['verdict']:10} {summary(rows[kind])}", flush=True)
    counts = Counter(each["verdict"] for each in rows.values())
    print(
        f"{len(rows)} of {len(known)} families:", ", ".join(f"{count} {name}" for name, count in counts.most_common())
    )


def summary(found: dict[str, Any]) -> str:
    """One line about a row."""
    if "not_built" in found:
        return found["not_built"]
    lines = [f"{what}: {line}" for kind in ("refusals", "faults") for what, line in found[kind].items()]
    errors = {name: error for name, error in found.get("errors", {}).items() if error is not None}
    if errors:
        lines.insert(0, f"{max(errors.values()):.1g} nats")
    if found.get("same_tokens") is False:
        lines.append("other tokens")
    if found.get("audited") not in (None, found.get("parameters")):
        lines.append(f"{found['audited']} parameters instead of {found['parameters']}")
    return "; ".join(lines)


if __name__ == "__main__":
    main()
