"""Packs documents by their lengths; measures how full the windows are and how many documents are cut."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any, cast

import numpy as np

from seqtant.errors import InputError
from seqtant.findings import Estimate, Result
from seqtant.pretraining.config import PackConfig
from seqtant.pretraining.examples.packing import pack_lengths, token_rows
from seqtant.runs.recorder import Context, Recorder
from seqtant.runs.verb import verb
from seqtant.sources import ObjectOrPath, is_path

EXAMPLE = (14, 7, 5, 2, 3)
"""Lengths of the published example of best-fit packing, for windows of 8."""


def read_lengths(source: ObjectOrPath | None) -> np.ndarray:
    """Reads document lengths: a JSON list, numbers in memory, or rows of token ids; else the published example."""
    if source is None:
        return np.array(EXAMPLE)
    name, data = "lengths", cast(Any, source)
    if is_path(source):
        name, file = f"'{source}'", Path(str(source)).expanduser()
        if not file.is_file():
            raise InputError(f"no file {name}: give a JSON list of document lengths in tokens")
        try:
            data = json.loads(file.read_text(encoding="utf-8"))
        except (json.JSONDecodeError, UnicodeDecodeError) as error:
            raise InputError(f"{name} is not JSON: give a list of document lengths in tokens") from error
    elif isinstance(source, bytes) or not hasattr(source, "__iter__"):
        raise InputError(f"{source!r:.60} are no lengths: give e.g. [14, 7, 5], or rows of token ids")
    else:
        data = [item.item() if isinstance(item, np.generic) else item for item in source]
        if data and all(hasattr(item, "__len__") for item in data):
            data = [len(row) for row in token_rows(data)]
    if not isinstance(data, list) or not data:
        raise InputError(f"{name} holds no list of lengths: give e.g. [14, 7, 5]")
    for place, length in enumerate(data):
        if isinstance(length, bool) or not isinstance(length, int) or not 0 <= length < 2**31:
            raise InputError(f"{name}, entry {place}, is {length!r}: lengths are whole numbers from 0 to 2^31 - 1")
    if not any(data):
        raise InputError(f"{name} holds empty documents only: there is nothing to pack")
    return np.array(data, dtype=np.int64)


@verb(PackConfig)
def compare_packing(config: PackConfig, context: Context) -> Result:
    """Compares strategies of packing documents into windows: how full the windows are, how many documents are cut.

    No packing needs fewer windows than all tokens over the window. ``pack`` and ``pack_lengths`` do the packing.

    Returns:
        Windows, fill, tokens kept and documents cut of the chosen strategy, and a table of all three.

    Raises:
        InputError: The lengths are none, or all documents are empty.

    Example:
        >>> compare_packing([14, 7, 5, 2, 3], window=8).values["sequences"]
        4
        >>> compare_packing([[11, 12, 13], [21, 22]], window=4).values["documents"]
        2
    """
    lengths = read_lengths(config.lengths)
    title = f"{len(lengths)} documents in windows of {config.window} tokens, {config.strategy}"
    with Recorder("pretraining.pack", title, config, context, papers=(6,)) as record:
        rows: list[tuple[str, int, float, int, int, float]] = []
        for strategy in ("best-fit", "tour", "wrapped"):
            started = time.process_time()
            packed = pack_lengths(lengths, config.window, strategy, buffer=config.buffer)
            spent = time.process_time() - started
            rows.append((strategy, packed.sequences, packed.fill, packed.tokens, packed.documents_cut, spent))
        _, windows, fill, tokens, cut, spent = next(row for row in rows if row[0] == config.strategy)
        names = ("sequences", "fill", "tokens_kept", "documents_cut", "documents", "cpu_seconds")
        for name, number in zip(names, (windows, fill, tokens, cut, len(lengths), spent), strict=True):
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
