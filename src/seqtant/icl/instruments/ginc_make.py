"""Writes the GINC data set: parameters, training and validation documents, prompts with their right labels."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from seqtant.findings import Result
from seqtant.icl.config import GincMakeConfig
from seqtant.icl.ginc.opening import open_ginc
from seqtant.icl.ginc.parameters import Ginc
from seqtant.icl.ginc.sampling import Documents, Prompts, draw_documents, draw_prompts, texts
from seqtant.runs.context import Context
from seqtant.runs.files import whole_file, write_text
from seqtant.runs.recorder import Recorder


def run(config: GincMakeConfig, context: Context) -> Result:
    """Draws the data set and, where the run has a folder, writes it there.

    Raises:
        InputError: A number does not fit, or the folder cannot be written.
    """
    title = f"GINC with {config.vocabulary} symbols"
    with Recorder("icl.ginc-make", title, config, context, papers=(4,)) as record:
        ginc = open_ginc(config)
        _describe(record, ginc)
        if context.folder is None:
            record.warn("nothing is written without --out FOLDER")
        else:
            _write(record, config, context, ginc, context.folder)
    return record.result


def _describe(record: Recorder, ginc: Ginc) -> None:
    moves = ginc.property_moves[: ginc.inside]
    record.value("symbols", ginc.settings.vocabulary)
    record.value("symbols_used", len(np.unique(ginc.memory)))
    record.value("concepts", ginc.inside)
    record.value("impossible_moves", float((moves == 0).mean()))
    rows = []
    for concept in range(len(ginc.starts)):
        matrix = ginc.property_moves[concept]
        entropy = -float((matrix * np.log(np.where(matrix > 0, matrix, 1))).sum(axis=1).mean())
        role = "documents" if concept < ginc.inside else "out of distribution"
        rows.append((concept, role, round(float((matrix == 0).mean()), 2), round(entropy, 3)))
    record.table(
        "concepts",
        "Concepts",
        ("concept", "use", "impossible moves", "entropy of a move, nats"),
        rows,
        note="Moves between properties; entities move alike in every concept.",
    )


def _write(record: Recorder, config: GincMakeConfig, context: Context, ginc: Ginc, folder: Path) -> None:
    generator = np.random.default_rng([context.seed, config.vocabulary])
    paths = ginc.save(folder)
    for name, count, length in (
        ("train", config.documents, config.document_length),
        ("validation", config.validation, config.validation_length),
    ):
        context.progress.note(f"drawing {count} documents of {length} symbols")
        paths.append(_save_documents(folder / f"{name}.safetensors", draw_documents(ginc, count, length, generator)))
    for length in config.example_lengths:
        prompts = draw_prompts(ginc, config.prompts, config.shots, length, generator)
        paths.append(_save_prompts(folder / f"prompts-{length}.jsonl", ginc, prompts))
    for path in paths:
        record.artifact(path, "ginc")


def _save_documents(path: Path, documents: Documents) -> Path:
    from safetensors.numpy import save

    arrays = {"tokens": documents.tokens, "concepts": documents.concepts, "states": documents.states}
    with whole_file(path) as temporary:
        temporary.write_bytes(save({name: array.astype(np.int16) for name, array in arrays.items()}))
    return path


def _save_prompts(path: Path, ginc: Ginc, prompts: Prompts) -> Path:
    lines = [
        json.dumps(
            {
                "text": text,
                "labels": [ginc.names[label] for label in labels],
                "concept": int(concept),
                "example_length": prompts.length,
            }
        )
        for text, labels, concept in zip(texts(ginc, prompts.tokens()), prompts.labels, prompts.concepts, strict=True)
    ]
    write_text(path, "\n".join(lines) + "\n")
    return path
