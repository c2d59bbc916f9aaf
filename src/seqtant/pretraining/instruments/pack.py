"""Packs documents by their lengths; measures how full the windows are and how many documents are cut."""

from __future__ import annotations

import json
import time
from pathlib import Path

import numpy as np

from seqtant.errors import InputError
from seqtant.findings import Estimate, Result
from seqtant.pretraining.config import PackConfig
from seqtant.pretraining.examples.packing import check_lengths, pack
from seqtant.runs.context import Context
from seqtant.runs.recorder import Recorder

EXAMPLE = (14, 7, 5, 2, 3)
"""Lengths of the published example of best-fit packing, for windows of 8."""


def read_lengths(path: str | None) -> np.ndarray:
    """Reads document lengths from a JSON list; without a path, those of the published example.

    Raises:
        InputError: The file is missing, is no such list, or all documents are empty.
    """
    if path is None:
        return np.array(EXAMPLE)
    file = Path(path).expanduser()
    if not file.is_file():
        raise InputError(f"no file '{path}': give a JSON list of document lengths in tokens")
    try:
        data = json.loads(file.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"'{path}' is not JSON: give a list of document lengths in tokens") from error
    if not isinstance(data, list) or not data:
        raise InputError(f"'{path}' holds no list of lengths: give e.g. [14, 7, 5]")
    for place, length in enumerate(data):
        if isinstance(length, bool) or not isinstance(length, int) or not 0 <= length < 2**31:
            raise InputError(f"'{path}', entry {place}, is {length!r}: lengths are whole numbers from 0 to 2^31 - 1")
    lengths = check_lengths(np.array(data, dtype=np.int64))
    if not lengths.sum():
        raise InputError(f"'{path}' holds empty documents only: there is nothing to pack")
    return lengths


def run(config: PackConfig, context: Context) -> Result:
    """Packs with the chosen strategy, and with the others for comparison."""
    lengths = read_lengths(config.lengths)
    title = f"{len(lengths)} documents in windows of {config.window} tokens, {config.strategy}"
    with Recorder("pretraining.pack", title, config, context, papers=(6,)) as record:
        rows: list[tuple[str, int, float, int, int, float]] = []
        for strategy in ("best-fit", "tour", "wrapped"):
            started = time.process_time()
            packed = pack(lengths, config.window, strategy, buffer=config.buffer)
            spent = time.process_time() - started
            rows.append((strategy, packed.sequences, packed.fill, packed.tokens, packed.documents_cut, spent))
        _, windows, fill, tokens, cut, spent = next(row for row in rows if row[0] == config.strategy)
        for name, number in {
            "sequences": windows,
            "fill": fill,
            "tokens_kept": tokens,
            "documents_cut": cut,
            "documents": len(lengths),
            "cpu_seconds": spent,
        }.items():
            record.value(name, number)
        least = -(-int(lengths.sum()) // config.window)
        record.finding(
            "windows",
            "Do the documents need (nearly) the fewest windows possible?",
            "agrees" if windows <= 1.02 * least else "disagrees",
            f"{windows} windows; no packing needs fewer than {least}."
            if windows > least
            else f"{windows} windows, the fewest possible.",
            predicted=Estimate(value=least, low=least, high=1.02 * least, method="all tokens over the window, and 2 %"),
            measured=Estimate.exact(windows, method="counted"),
            advice="" if windows == least else "wrapped fills every window but the last, and cuts many more documents.",
        )
        record.table(
            "strategies",
            "The strategies beside each other",
            ("strategy", "windows", "fill", "tokens kept", "documents cut", "CPU seconds"),
            rows,
            note="No strategy drops a token. best-fit and tour cut only documents longer than a window.",
        )
    return record.result
