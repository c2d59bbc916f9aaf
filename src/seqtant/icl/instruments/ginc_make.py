"""Writes the GINC data set: parameters, training and validation documents, prompts with their right labels."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from seqtant.findings import Result
from seqtant.icl.config import GincMakeConfig
from seqtant.icl.ginc.dataset import Ginc, open_ginc, sample_documents, sample_prompts
from seqtant.runs.files import whole_file, write_text
from seqtant.runs.recorder import Context, Recorder
from seqtant.runs.verb import verb


@verb(GincMakeConfig)
def ginc_make(config: GincMakeConfig, context: Context) -> Result:
    """Samples the data set GINC and, where the run has a folder, writes it there.

    A concept is a hidden Markov model over pairs of entity and property; documents follow one concept each, prompts
    join independent examples of one concept by a delimiter. Parameters are those of the published generator.
    In memory the same data come from :class:`Ginc`, :func:`sample_documents` and :func:`sample_prompts`.

    Returns:
        ``symbols``, ``symbols_used``, ``concepts``, the share of ``impossible_moves``; the files are artifacts.

    Raises:
        InputError: A number does not fit, or the folder cannot be written.

    Example:
        >>> ginc_make(vocabulary=50).values["symbols_used"]
        42
    """
    title = f"GINC with {config.vocabulary} symbols"
    with Recorder("icl.ginc-make", title, config, context, papers=(4,)) as record:
        ginc = open_ginc(config)
        record.value("symbols", ginc.settings.vocabulary)
        record.value("symbols_used", len(np.unique(ginc.memory)))
        record.value("concepts", ginc.inside)
        record.value("impossible_moves", float((ginc.property_moves[: ginc.inside] == 0).mean()))
        rows = []
        for concept, matrix in enumerate(ginc.property_moves):
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
        if context.folder is None:
            record.warn("nothing is written without --out FOLDER")
        else:
            for path in _write(config, context, ginc, context.folder):
                record.artifact(path, "ginc")
    return record.result


def _write(config: GincMakeConfig, context: Context, ginc: Ginc, folder: Path) -> list[Path]:
    """Writes the whole data set; documents and prompts are sampled from one stream, in this order."""
    from safetensors.numpy import save

    generator = np.random.default_rng([context.seed, config.vocabulary])
    paths = ginc.save(folder)
    for name, count, length in (
        ("train", config.documents, config.document_length),
        ("validation", config.validation, config.validation_length),
    ):
        context.progress.note(f"drawing {count} documents of {length} symbols")
        documents = sample_documents(ginc, count, length, generator)
        arrays = {"tokens": documents.tokens, "concepts": documents.concepts, "states": documents.states}
        paths.append(folder / f"{name}.safetensors")
        with whole_file(paths[-1]) as temporary:
            temporary.write_bytes(save({key: array.astype(np.int16) for key, array in arrays.items()}))
    names = np.array(ginc.names)
    for length in config.example_lengths:
        prompts = sample_prompts(ginc, config.prompts, config.shots, length, generator)
        lines = [
            json.dumps(
                {
                    "text": " ".join(names[tokens]),
                    "labels": names[labels].tolist(),
                    "concept": int(concept),
                    "example_length": length,
                }
            )
            for tokens, labels, concept in zip(prompts.tokens(), prompts.labels, prompts.concepts, strict=True)
        ]
        paths.append(folder / f"prompts-{length}.jsonl")
        write_text(paths[-1], "\n".join(lines) + "\n")
    return paths
