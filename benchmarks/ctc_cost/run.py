"""Times what Align With Purpose adds to PyTorch's CTC loss and to a whole training step, in one interleaved run.

    OMP_NUM_THREADS=1 python benchmarks/ctc_cost/run.py

Four contenders take turns: CTC alone, CTC with our loss, CTC with a loop over paths, CTC with the procedure of the code
published with the paper (lists on the host, one weighted sampler per frame), rewritten here from its description. Times
are processor seconds; equality of the scores is checked before anything is timed.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import time
from pathlib import Path
from statistics import median

import torch
from contenders import loop_over_paths, published_procedure
from torch.nn import functional
from torch.utils.data import WeightedRandomSampler

from seqtant.ctc.lattice.paths import PathBatch, path_scores, sample_paths
from seqtant.ctc.losses.align_with_purpose import AlignWithPurpose
from seqtant.ctc.losses.low_latency import LowLatency
from seqtant.models.ctc_encoder import CTCEncoder, CTCEncoderConfig

RESULTS = Path(__file__).parents[1] / "results"
README = Path(__file__).parent / "README.md"
NAMES = {
    "ctc": "CTC",
    "ctc_and_purpose": "CTC and Align With Purpose",
    "ctc_and_path_loop": "CTC and a loop over paths",
    "ctc_and_published": "CTC and the published procedure",
}


def batch(options):
    generator = torch.Generator().manual_seed(0)
    shape = (options.batch, options.frames, options.labels)
    logits = (3 * torch.randn(shape, generator=generator)).to(options.device)
    targets = torch.randint(0, options.labels - 1, (options.batch, options.tokens), generator=generator)
    lengths = torch.full((options.batch,), options.frames)
    counts = torch.full((options.batch,), options.tokens)
    return logits, lengths, targets, counts


def check_scores(options):
    """Our scores and those of the published procedure, on the same paths."""
    logits, lengths, _, _ = batch(options)
    log_probs = logits.cpu().log_softmax(-1)
    paths = sample_paths(log_probs, options.samples, generator=torch.Generator().manual_seed(1))
    edited = LowLatency().edit(PathBatch(paths, lengths, options.labels - 1), torch.Generator().manual_seed(2)).paths
    gaps = path_scores(log_probs, edited, lengths, epsilon=1e-7) - path_scores(log_probs, paths, lengths, epsilon=1e-7)
    theirs = published_procedure(log_probs, lengths, paths=paths, edited=edited, blank=options.labels - 1)
    ours = (-gaps / options.frames).clamp(min=0).sum() / options.batch
    return float((ours - theirs).abs())


def losses(options):
    """Each contender: logits to a loss."""
    logits, lengths, targets, counts = batch(options)
    blank = options.labels - 1
    purpose = AlignWithPurpose(weight=0.2, num_samples=options.samples, blank=blank, batch_first=True)
    generator = torch.Generator(options.device).manual_seed(0)
    on_device = lengths.to(options.device)

    def ctc(log_probs):
        return functional.ctc_loss(
            log_probs.transpose(0, 1), targets.to(options.device), lengths, counts, blank=blank, reduction="none"
        ).mean()

    found = {
        "ctc": ctc,
        "ctc_and_purpose": lambda p: ctc(p) + purpose(p, None, on_device, generator=generator),
    }
    if options.device == "cpu" and not options.fast:
        found["ctc_and_path_loop"] = lambda p: (
            ctc(p) + 0.2 * loop_over_paths(p, lengths, samples=options.samples, blank=blank)
        )
        found["ctc_and_published"] = lambda p: (
            ctc(p)
            + 0.2 * published_procedure(p, lengths, samples=options.samples, blank=blank, sampler=WeightedRandomSampler)
        )
    return logits, found


def clock(options):
    if options.device == "cpu":
        return time.process_time()
    torch.cuda.synchronize()
    return time.perf_counter()


def time_losses(options):
    """Milliseconds of forward and backward, contenders in turns, the order reversed every other round."""
    logits, found = losses(options)
    values = logits.clone().requires_grad_()
    times = {name: [] for name in found}
    for turn in range(options.rounds + 2):
        for name in list(found)[:: 1 if turn % 2 else -1]:
            values.grad = None
            started = clock(options)
            found[name](values.log_softmax(-1)).backward()
            if turn >= 2:
                times[name].append(1000 * (clock(options) - started))
    return times


def time_steps(options):
    """Milliseconds of a whole training step of a small causal encoder, without and with our loss."""
    _, found = losses(options)
    encoder = CTCEncoder(CTCEncoderConfig(labels=options.labels, stack=1)).to(options.device)
    optimizer = torch.optim.AdamW(encoder.parameters(), lr=1e-4, fused=True)
    features = torch.randn(options.batch, options.frames, 40, device=options.device)
    lengths = torch.full((options.batch,), options.frames)
    names = ["ctc", "ctc_and_purpose"]
    times = {name: [] for name in names}
    for turn in range(options.rounds + 2):
        for name in names[:: 1 if turn % 2 else -1]:
            started = clock(options)
            optimizer.zero_grad()
            found[name](encoder(features, lengths)[0]).backward()
            optimizer.step()
            if turn >= 2:
                times[name].append(1000 * (clock(options) - started))
    return times


def summary(times):
    """Medians, ranges, and what each contender adds to CTC, from differences within each round."""
    base = times["ctc"]
    return {
        name: {
            "median_ms": median(values),
            "low_ms": min(values),
            "high_ms": max(values),
            "n": len(values),
            "added_percent": 100 * median(b - a for a, b in zip(base, values, strict=True)) / median(base),
        }
        for name, values in times.items()
    }


def write_readme():
    """Puts every stored record into the README."""
    parts = []
    for path in sorted(RESULTS.glob("ctc_cost_*.json")):
        record = json.loads(path.read_text(encoding="utf-8"))
        machine = record["machine"]
        parts.append(
            f"{record['settings']['device']}, {machine['threads']} thread(s), torch {machine['torch']}; scores differ "
            f"by {record['score_difference']:.1g}\n\n| what | of | median, ms | from | to | added, % |\n"
            "| --- | --- | ---: | ---: | ---: | ---: |"
        )
        for part, unit in (("loss", "the loss"), ("step", "a training step")):
            for name, row in record[part].items():
                added = "" if name == "ctc" else f"{row['added_percent']:.1f}"
                times = " | ".join(f"{row[key]:.1f}" for key in ("median_ms", "low_ms", "high_ms"))
                parts[-1] += f"\n| {NAMES[name]} | {unit} | {times} | {added} |"
    text = README.read_text(encoding="utf-8")
    made = "<!-- results -->\n\n" + "\n\n".join(parts) + "\n\n<!-- end -->"
    README.write_text(
        re.sub(r"<!-- results -->.*<!-- end -->", lambda _: made, text, flags=re.DOTALL), encoding="utf-8"
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, value in {"batch": 16, "frames": 400, "labels": 29, "tokens": 60, "samples": 5, "rounds": 40}.items():
        parser.add_argument(f"--{name}", type=int, default=value)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--fast", action="store_true", help="leave the slow contenders out")
    options = parser.parse_args()
    result = {
        "settings": vars(options),
        "score_difference": check_scores(options),
        "loss": summary(time_losses(options)),
        "step": summary(time_steps(options)),
        "machine": {
            "processor": platform.processor() or platform.machine(),
            "threads": torch.get_num_threads(),
            "torch": torch.__version__,
            "load": list(os.getloadavg()),
            "clock": "process_time" if options.device == "cpu" else "perf_counter after synchronize",
        },
    }
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"ctc_cost_{options.device}_{torch.get_num_threads()}threads.json"
    path.write_text(json.dumps(result, indent=1) + "\n")
    write_readme()
    print(json.dumps(result, indent=1))


if __name__ == "__main__":
    main()
