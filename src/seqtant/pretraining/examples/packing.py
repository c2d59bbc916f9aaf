"""Packs documents into windows: best fit over all, best fit along a tour, and plain concatenate-and-cut.

Best-fit-decreasing packing (Ding et al. 2024, arXiv:2404.10830) places the longest piece first, each into the window
with the least sufficient space. Lengths are whole numbers up to the window, so all pieces of one length are placed
together, and all windows with the same space are filled at once: the cost is that of a sort, not of a search per
document.
"""

from __future__ import annotations

from bisect import bisect_right, insort
from collections.abc import Sequence
from dataclasses import dataclass
from typing import get_args

import numpy as np
from jaxtyping import Int

from seqtant.errors import InputError
from seqtant.pretraining.sections import Strategy


@dataclass(frozen=True)
class Packing:
    """Pieces of documents and the window that each lies in; sorted by window, then by position in it."""

    window: int
    """Tokens that fit into one window."""
    document: Int[np.ndarray, " pieces"]
    """Document of each piece."""
    start: Int[np.ndarray, " pieces"]
    """First token of each piece within its document."""
    length: Int[np.ndarray, " pieces"]
    """Tokens of each piece."""
    sequence: Int[np.ndarray, " pieces"]
    """Window of each piece, from 0 without gaps."""

    @property
    def sequences(self) -> int:
        """Number of windows."""
        return int(self.sequence[-1]) + 1 if len(self.sequence) else 0

    @property
    def tokens(self) -> int:
        """Tokens in all windows."""
        return int(self.length.sum())

    @property
    def fill(self) -> float:
        """Share of the windows that holds tokens."""
        return self.tokens / (self.sequences * self.window) if self.sequences else 1.0

    @property
    def documents_cut(self) -> int:
        """Documents that lie in more than one piece."""
        return int((np.unique(self.document, return_counts=True)[1] > 1).sum())


def pack(
    rows: Sequence[Sequence[int]],
    window: int,
    strategy: Strategy = "best-fit",
    *,
    order: Sequence[int] | None = None,
    buffer: int = 256,
) -> list[list[int]]:
    """Packs rows of token ids into rows of at most ``window`` tokens; no token is dropped.

    Args:
        rows: Token ids of each document: lists, arrays, or a column ``input_ids`` of a data set.
        window: Tokens that fit into one row.
        strategy: ``best-fit``, ``tour`` or ``wrapped``, see :func:`pack_lengths`, which also says what lies where.
        order: Order of the documents for ``tour`` and ``wrapped``; by default as given.
        buffer: Pieces ahead among which ``tour`` may choose.

    Returns:
        The packed rows; the pieces of one row follow each other without a separator.

    Raises:
        InputError: A row holds no token ids, there is no such strategy, or the window or the buffer is not positive.

    Example:
        >>> pack([[1, 1, 1], [2, 2], [3, 3, 3, 3, 3], [4]], window=4)
        [[3, 3, 3, 3], [1, 1, 1, 3], [2, 2, 4]]
    """
    documents = token_rows(rows)
    packed = pack_lengths(np.array([len(row) for row in documents]), window, strategy, order=order, buffer=buffer)
    made: list[list[int]] = [[] for _ in range(packed.sequences)]
    pieces = zip(packed.document, packed.start, packed.length, packed.sequence, strict=True)
    for document, start, length, sequence in pieces:
        made[sequence] += documents[document][start : start + length].tolist()
    return made


def token_rows(rows: Sequence[Sequence[int]]) -> list[Int[np.ndarray, " tokens"]]:
    """Checks rows of token ids and turns them into arrays."""
    if isinstance(rows, str | bytes) or not hasattr(rows, "__iter__"):
        raise InputError(f"{rows!r:.60} are no rows of token ids: give a list of lists")
    found: list[np.ndarray] = []
    for number, row in enumerate(rows, start=1):
        try:
            tokens = np.asarray(row)
        except ValueError:  # lists of different lengths within the row
            tokens = np.zeros((0, 0))
        if tokens.ndim != 1 or (tokens.size and tokens.dtype.kind not in "iu"):
            raise InputError(f"row {number} is {row!r:.60}: give a list of token ids (for lengths alone: pack_lengths)")
        found.append(tokens)
    if not found:
        raise InputError("there are no rows: give at least one list of token ids")
    return found


def pack_lengths(
    lengths: Int[np.ndarray, " documents"],
    window: int,
    strategy: Strategy = "best-fit",
    *,
    order: Int[np.ndarray, " documents"] | Sequence[int] | None = None,
    buffer: int = 256,
) -> Packing:
    """Decides by their lengths which documents share a window; no token is dropped.

    Args:
        lengths: Tokens of each document.
        window: Tokens that fit into one window.
        strategy: ``best-fit`` cuts only documents longer than a window; ``tour`` does too, follows an order and fills
            gaps from a buffer of the pieces that come next; ``wrapped`` concatenates everything and cuts.
        order: Order of the documents for ``tour`` and ``wrapped``; by default as given.
        buffer: Pieces ahead among which ``tour`` may choose.

    Raises:
        InputError: A length is negative, there is no such strategy, or the window or the buffer is not positive.

    Example:
        >>> packed = pack_lengths(np.array([14, 7, 5, 2, 3]), 8)
        >>> packed.sequences, packed.documents_cut, round(packed.fill, 3), packed.tokens
        (4, 1, 0.969, 31)
    """
    given = np.asarray(lengths)
    lengths = given.astype(np.int64)
    if given.ndim != 1 or (lengths != given).any() or (lengths < 0).any():
        raise InputError("document lengths must be a flat list of whole numbers of at least 0")
    if strategy not in get_args(Strategy):
        raise InputError(f"no strategy {strategy!r:.40}: use {', '.join(get_args(Strategy))}")
    if not all(isinstance(number, int | np.integer) and number >= 1 for number in (window, buffer)):
        raise InputError(f"the window is {window!r:.20} and the buffer {buffer!r:.20}: give numbers of at least 1")
    order = np.arange(len(lengths)) if order is None else np.asarray(order, dtype=np.int64)
    if strategy == "wrapped":
        # One long text: cut where a document ends and at every multiple of the window.
        ends = np.cumsum(lengths[order])
        total = int(ends[-1]) if len(ends) else 0
        cuts = np.union1d(ends, np.append(np.arange(window, total, window), total))
        cuts = cuts[cuts > 0]
        begins = np.concatenate([[0], cuts[:-1]]) if len(cuts) else cuts
        # Side right also skips empty documents, whose end is the end of the one before.
        owner = np.searchsorted(ends, begins, side="right")
        start = begins - (ends - lengths[order])[owner]
        return Packing(window, order[owner], start, cuts - begins, begins // window)
    # Whole windows are cut off the front of longer documents; the rest is their last piece.
    counts = -(-lengths[order] // window)
    document = np.repeat(order, counts)
    first = np.repeat(np.cumsum(counts) - counts, counts)
    start = (np.arange(len(document)) - first) * window
    # All pieces of a document but the last are as long as the window; an empty document has no piece.
    sizes = np.minimum(window, lengths[document] - start)
    sequence = _best_fit(sizes, window) if strategy == "best-fit" else _along_tour(sizes, window, buffer)
    place = np.argsort(sequence, kind="stable")
    return Packing(window, document[place], start[place], sizes[place], sequence[place])


def _best_fit(sizes: np.ndarray, window: int) -> np.ndarray:
    """Assigns each piece to a window: longest pieces first, each into the fullest window that still holds it."""
    by_size = np.argsort(-sizes, kind="stable")
    lengths, firsts = np.unique(-sizes[by_size], return_index=True)
    ends = np.append(firsts, len(sizes))[1:]
    sequence = np.empty(len(sizes), dtype=np.int64)
    spaces = _Spaces(window)
    # Pieces [first, end) of ``by_size`` have one length. Invariant: all before ``begin`` are placed, and ``spaces``
    # holds every opened window that is not full, under the space left in it.
    for length, first, end in zip((-lengths).tolist(), firsts.tolist(), ends.tolist(), strict=True):
        begin = first
        while begin < end:
            space, windows = spaces.take(length, end - begin)
            # Best fit fills one window until it holds no further piece of this length: with the least sufficient
            # space it stays the fullest. So each of these equal windows gets ``each`` pieces at once.
            each = space // length
            placed = min(end - begin, each * len(windows))
            sequence[by_size[begin : begin + placed]] = np.repeat(windows, each)[:placed]
            # ``full`` windows got ``each`` pieces; if the pieces ran out, the next window got only ``partial``.
            full, partial = divmod(placed, each)
            spaces.put(space - each * length, windows[:full])
            if partial:
                spaces.put(space - partial * length, windows[full : full + 1])
            begin += placed
    return sequence


class _Spaces:
    """Opened windows that are not full, by the space left in them.

    Invariant: ``_known`` lists in rising order the spaces that have a stack; every stack holds at least one array, and
    every array at least one window. Windows are numbered in the order in which they are opened.
    """

    def __init__(self, window: int) -> None:
        self._window, self._opened = window, 0
        self._stacks: dict[int, list[np.ndarray]] = {}
        self._known: list[int] = []

    def take(self, length: int, pieces: int) -> tuple[int, np.ndarray]:
        """Takes out windows of the least sufficient space, no more than needed; opens new ones where none suffices."""
        # The first known space >= length: spaces are whole numbers, so it is the first > length - 1.
        place = bisect_right(self._known, length - 1)
        if place == len(self._known):
            needed = -(-pieces // (self._window // length))
            self._opened += needed
            return self._window, np.arange(self._opened - needed, self._opened)
        space = self._known[place]
        stack = self._stacks[space]
        windows = stack.pop()
        # Each window holds space // length of the pieces; windows beyond those needed go back on the stack.
        needed = -(-pieces // (space // length))
        if needed < len(windows):
            stack.append(windows[needed:])
            windows = windows[:needed]
        if not stack:
            del self._stacks[space]
            del self._known[place]
        return space, windows

    def put(self, space: int, windows: np.ndarray) -> None:
        """Puts windows back under the space they have now; full ones never return, since no piece has length 0."""
        if space == 0 or len(windows) == 0:
            return
        if space not in self._stacks:
            self._stacks[space] = []
            insort(self._known, space)
        self._stacks[space].append(windows)


def _along_tour(sizes: np.ndarray, window: int, buffer: int) -> np.ndarray:
    """Assigns each piece to a window: the next of the tour if it fits, else the longest of the buffer that does."""
    lengths = sizes.tolist()
    sequence = np.empty(len(lengths), dtype=np.int64)
    # Invariant: ``waiting`` holds (length, -index) of the pieces in [head, ahead) that are not taken, sorted; ``head``
    # is the first piece that is not taken; ``space`` is left in window ``current``. The sign prefers early pieces.
    waiting: list[tuple[int, int]] = []
    taken = bytearray(len(lengths))
    head = ahead = space = 0
    current = -1
    for _ in range(len(lengths)):
        while taken[head]:
            head += 1
        while ahead < min(len(lengths), head + buffer):
            insort(waiting, (lengths[ahead], -ahead))
            ahead += 1
        # waiting[0] is the shortest: if not even that fits, the window is closed.
        if min(lengths[head], waiting[0][0]) > space:
            current += 1
            space = window
        key = (lengths[head], -head)
        if key[0] > space:
            # (space, 0) sorts after every piece of that length: the entry before it is the longest that fits.
            key = waiting[bisect_right(waiting, (space, 0)) - 1]
        waiting.pop(bisect_right(waiting, key) - 1)
        taken[-key[1]] = 1
        sequence[-key[1]] = current
        space -= key[0]
    return sequence
