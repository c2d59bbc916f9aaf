"""Which fields of a verb's configuration are flags of their own; all others are reached by ``--set`` and ``--config``.

See :func:`seqtant.commands.builder.build_command` for how a line is read.
"""

from __future__ import annotations

from typing import Annotated, Any

from cyclopts import Parameter

from seqtant.commands.options import Flag, Whole

VERBS: dict[str, dict[str, str]] = {
    "architecture": {
        "plan": "params modality vocab d_ff_ratio glu kv_heads head_dim snap experts active tokens context data tensor"
        " pipeline base_width base_depth",
        "bounds": "depth width heads embed_rank",
        "match": "depth width to_depth",
        "rank": "depth width heads tokens embed_rank inner_dim positions vocab residual projection",
        "audit": "model / length dtype",
        "embedding-rank": "model /",
        "sweep": "text tokens depths seeds steps",
        "fit": "losses / embedding",
    },
    "pretraining": {
        "pack": "lengths / window strategy buffer",
        "build": "corpus / arm=examples.arms window=examples.window share=examples.share k=filter.k"
        " encoder=embed.encoder tokenizer=segment.tokenizer index=neighbors.index hold_out=segment.hold_out"
        " blocklist=segment.blocklist workers",
        "audit": "folder / distances model",
        "bias": "model / corpus pairs",
        "epsilon-rank": "width heads texts",
        "deficit": "depth step precision span",
        "compose": "steps seeds entities",
        "compare-arms": "folder / arm=arms steps seeds",
        "tapt": "folder / model pairs arm=arms steps",
    },
    "subtasks": {
        "make": "task / bits rows test_rows terms modulus digits",
        "check": "rows / tokenizer max_arity",
        "augment": "rows / arm=arms form tokenizer",
        "train": "task / bits arm network=network.kind width=network.width base updates",
        "eval": "model / rows decode test_rows",
        "probe": "task / bits network=network.kind width=network.width samples",
        "compare": "task / bits arm=arms network=network.kind width=network.width updates seeds",
        "one-step": "bits subset_size samples",
        "solve-gf2": "bits samples rows",
    },
    "icl": {
        "shots": "model / tasks shots prompts eps",
        "posterior": "model / tasks prompt shots prompts",
        "corrupt": "model / tasks variants shots prompts",
        "order": "model / tasks shots prompts",
        "bound": "c1 c2 c3 length kl eps delta flipped shared_delimiter margin",
    },
    "beb": {
        "bound": "alpha log_alpha eps beta beta_prime sigma guard_sentences delta best_of gamma",
        "measure": "model / minus plus statements=components.statements scorer=behavior.scorer"
        " question=behavior.question prompts sentences method write_prompts",
        "curve": "model / minus plus scorer=behavior.scorer question=behavior.question prompts sentences write_prompts",
        "search": "model / minus plus method candidates searches sentences goal write_prompts",
        "guard": "model / guard minus plus prompts sentences write_prompts",
        "converse": "model / minus plus turns asked answered prompts write_prompts",
        "personas": "model / plus prompts sentences",
        "compare": "model after / minus plus prompts sentences",
        "gate": "result / min_length quantity model minus plus",
        "fit-components": "model / statements negative template epochs learning_rate to",
        "calibrate": "alpha steps prompts",
    },
    "steering": {
        "extract": "model / pairs layers method template",
        "sweep": "model / vector pairs behavior helpfulness layers strengths score scorer",
        "choose": "model / budget vector pairs behavior helpfulness layers side score",
        "diagnose": "model / vector pairs behavior helpfulness layers",
        "layers": "model / vector pairs behavior helpfulness budget",
        "apply": "model / prompt prompts_file vector pairs strength layers positions tokens temperature",
        "export": "model / to format vector pairs strength layers",
        "train": "reviews text steps width depth",
    },
    "ctc": {
        "train": "data test_speaker base_steps",
        "finetune": "model data test_speaker method weight budget_wer steps start_wer",
        "sweep": "data test_speaker methods weights seeds steps",
        "stream": "file / model against chunk_ms",
        "latency": "hyp ref against",
        "diagnose": "model / data test_speaker utterances",
        "align": "file / text model",
        "decode": "file / model beam best",
    },
    "quantum": {
        "ground-state": "hamiltonian lattice boundary field second_coupling operators steps samples transfer_from",
        "exact": "hamiltonian lattice boundary field anisotropy second_coupling operators",
        "observe": "checkpoint / samples precision symmetrize",
        "sample": "checkpoint / samples file unique",
        "transfer": "checkpoint / lattice boundary field steps samples",
        "compare-sampling": "checkpoint / lattice samples repeats",
        "benchmark": "hamiltonian boundary samples repeats",
    },
    "reference": {
        "train": "",
        "check": "model /",
        "sample": "prompt source count tokens temperature",
        "describe": "sentences",
    },
}
"""Package -> verb -> flags."""

GINC = {
    "make": "vocabulary identity documents prompts",
    "bayes": "vocabulary example_length shots labels prompts outside",
    "eval": "model / vocabulary example_length shots labels prompts",
    "train": "vocabulary context",
}
"""Verbs ``ginc-...`` of the package ``icl``, a group of their own on the command line."""


def playground(
    model: str = "reference",
    /,
    *,
    vector: str | None = None,
    pairs: str | None = None,
    behavior: str | None = None,
    helpfulness: str | None = None,
    layers: str | None = None,
    port: Whole = 8765,
    device: str = "auto",
    seed: Annotated[int, Parameter(negative="")] = 0,
    check: Flag = False,
) -> None:
    """Open a page on 127.0.0.1: baseline and steered text side by side, a slider, the trade-off with the current point.

    Args:
        model: Model folder or hub name; the model that ships if none is given.
        vector: Steering vector; otherwise one is extracted from the pairs.
        pairs: JSON lines with positive and negative.
        behavior: JSON lines with prompt, good and bad.
        helpfulness: JSON lines with prompt, options and answer, or with text; or lm-eval:TASK.
        layers: Blocks to steer.
        port: Where the page is served.
        device: auto, cpu, cuda, cuda:1 or mps.
        seed: Seed of what is random.
        check: Load everything, say where the page would be, and stop.
    """
    from seqtant.steering.playground.server import serve

    named: dict[str, Any] = {"vector": vector, "pairs": pairs, "behavior": behavior, "helpfulness": helpfulness}
    serve(model=model, layers=layers, port=port, device=device, seed=seed, check=check, **named)
