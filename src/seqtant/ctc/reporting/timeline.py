"""A page that plays: the sound, its waveform, and the words of one or two systems at the moment they come out."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape
from scipy.io import wavfile

from seqtant.data.speech import Utterance
from seqtant.data.timed_words import TimedWord
from seqtant.runs.files import write_text

OUTLINE_POINTS = 900
"""Columns of the drawn waveform."""


@dataclass(frozen=True)
class Track:
    """What one system said.

    Args:
        name: How it is called on the page.
        words: Its words; ``start`` is when each came out, in seconds.
    """

    name: str
    words: tuple[TimedWord, ...]


def write_timeline(path: Path, utterance: Utterance, tracks: Sequence[Track], *, with_sound: bool = True) -> Path:
    """Writes the page, self-contained: it plays offline and asks nobody for anything.

    Args:
        path: Where to.
        utterance: The sound, and its true words where they are known.
        tracks: What each system said.
        with_sound: Whether the recording itself goes into the page; without it only its outline does.

    Returns:
        The same path.
    """
    environment = Environment(
        loader=PackageLoader("seqtant.ctc", "templates"),
        autoescape=select_autoescape(),
        undefined=StrictUndefined,
    )
    page = environment.get_template("timeline.html").render(
        title=f"When does each word come out? {utterance.id}",
        tracks=tracks,
        truth=utterance.words,
        data=json.dumps(_data(utterance, tracks)).replace("<", "\\u003c"),
        sound=_sound(utterance) if with_sound else "",
    )
    write_text(path, page)
    return path


def _data(utterance: Utterance, tracks: Sequence[Track]) -> dict[str, object]:
    return {
        "seconds": utterance.recording.seconds,
        "outline": outline(utterance.recording.samples),
        "truth": [[word.word, word.start, word.end] for word in utterance.words],
        "tracks": [
            {"name": track.name, "words": [[word.word, word.start] for word in track.words]} for track in tracks
        ],
    }


def outline(samples: np.ndarray, points: int = OUTLINE_POINTS) -> list[float]:
    """Loudest amplitude of each of some equal pieces, scaled to at most 1.

    Example:
        >>> outline(np.array([0.1, -0.5, 0.0, 0.25]), 2)
        [1.0, 0.5]
    """
    pieces = np.array_split(np.abs(np.asarray(samples, dtype=np.float64)), min(points, max(len(samples), 1)))
    peaks = np.array([piece.max() if len(piece) else 0.0 for piece in pieces])
    return [round(float(peak), 4) for peak in peaks / max(float(peaks.max()), 1e-9)]


def _sound(utterance: Utterance) -> str:
    """The recording as a data address of 16-bit WAV."""
    buffer = io.BytesIO()
    scaled = np.clip(np.rint(utterance.recording.samples * 32767), -32768, 32767).astype(np.int16)
    wavfile.write(buffer, utterance.recording.rate, scaled)
    return "data:audio/wav;base64," + base64.b64encode(buffer.getvalue()).decode()
