"""A trained recognizer: save, load, transcribe a corpus, stream sound as it arrives, measure the output."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from seqtant.ctc.decoding.decoders import GreedyDecoder, greedy_decode
from seqtant.ctc.lattice.forced_alignment import Span
from seqtant.ctc.lattice.paths import PathBatch, collapse, frame_mask, sample_paths
from seqtant.ctc.recognition.dataset import Corpus, Labels
from seqtant.ctc.recognition.latency import Timing, Transcript, measure_timing
from seqtant.data.log_mel import LogMel, LogMelConfig
from seqtant.data.speech import TimedWord, Utterance
from seqtant.errors import InputError
from seqtant.models.ctc_encoder import CTCEncoder, CTCEncoderConfig, EncoderState
from seqtant.runs.files import whole_file, write_text
from seqtant.settings import build, plain

FORMAT = 1
"""Version of ``recognizer.json``."""

BATCH = 64
"""Utterances that are scored together."""


@dataclass
class Recognizer:
    """A network with the features it takes and the labels it gives: sound in, labels out.

    Args:
        encoder: The network.
        labels: Its labels.
        log_mel: Its features.
    """

    encoder: CTCEncoder
    labels: Labels
    log_mel: LogMelConfig

    @property
    def model(self) -> CTCEncoder:
        """The network, under the name that all wrappers of networks have."""
        return self.encoder

    @property
    def frame_seconds(self) -> float:
        """Seconds per model frame."""
        return self.encoder.config.stack * self.log_mel.hop / self.log_mel.rate

    @torch.no_grad()
    def log_probs(self, utterance: Utterance) -> Float[Tensor, "frames labels"]:
        """Computes the log-probabilities of one utterance."""
        features = LogMel(self.log_mel).whole(torch.from_numpy(utterance.recording.at(self.log_mel.rate).samples))
        device = next(self.encoder.parameters()).device
        return self.encoder.eval()(features[None].to(device), torch.tensor([len(features)]))[0][0].cpu()

    @torch.no_grad()
    def transcribe(self, corpus: Corpus) -> list[Transcript]:
        """Decodes a corpus greedily: words at their emission times beside the true ones.

        Where true times are not known, words alone are given.
        A frame is known at its end, so a label of frame t is emitted at (t + 1) frames; there is no look-ahead.
        """
        transcripts: list[Transcript] = []
        for chosen, log_probs, lengths in self.score(corpus):
            decoded = greedy_decode(log_probs, lengths, blank=self.labels.blank)
            for number, spans in zip(chosen, decoded, strict=True):
                utterance = corpus.utterances[number]
                words = tuple(self.labels.words(spans, frame_seconds=self.frame_seconds))
                timed = len(utterance.words) == len(utterance.text)
                true = utterance.words if timed else tuple(TimedWord(word, 0.0, 0.0) for word in utterance.text)
                transcripts.append(Transcript(utterance.id, words, true, timed))
        return transcripts

    def timings(self, corpus: Corpus) -> list[Timing]:
        """Measures errors and delays of every utterance; delays only where its word times are known."""
        return [measure_timing(transcript) for transcript in self.transcribe(corpus)]

    @torch.no_grad()
    def score(
        self, corpus: Corpus
    ) -> Iterable[tuple[Sequence[int], Float[Tensor, "B frames labels"], Int[Tensor, " B"]]]:
        """Computes the log-probabilities of a corpus, batch by batch, in its order."""
        device = next(self.encoder.parameters()).device
        self.encoder.eval()
        for start in range(0, len(corpus), BATCH):
            chosen = range(start, min(start + BATCH, len(corpus)))
            rows = corpus.collate(chosen)
            log_probs, lengths = self.encoder(rows["features"].to(device), rows["lengths"])
            yield chosen, log_probs.cpu(), lengths

    def save(self, folder: str | Path) -> None:
        """Writes ``model.safetensors`` and ``recognizer.json``, each whole or not at all."""
        folder = Path(folder)
        folder.mkdir(parents=True, exist_ok=True)
        with whole_file(folder / "model.safetensors") as temporary:
            # safetensors refuses tensors that share memory or are views.
            save_file({name: tensor.contiguous() for name, tensor in self.encoder.state_dict().items()}, temporary)
        description = {
            "format": FORMAT,
            "labels": list(self.labels.names),
            "units": self.labels.units,
            "log_mel": plain(self.log_mel),
            "encoder": plain(self.encoder.config),
        }
        write_text(folder / "recognizer.json", json.dumps(description, indent=1, ensure_ascii=False))

    @classmethod
    def load(cls, folder: str | Path) -> Recognizer:
        """Reads what :meth:`save` wrote.

        Raises:
            InputError: The folder holds no recognizer, or it is damaged; the message says which file.
        """
        folder = Path(folder)
        path = folder / "recognizer.json"
        if not path.is_file():
            raise InputError(f"'{folder}' holds no recognizer.json: give a folder that 'seqtant ctc train' wrote")
        try:
            data = json.loads(path.read_text(encoding="utf-8"))
        except (json.JSONDecodeError, UnicodeDecodeError) as error:
            raise InputError(f"'{path}' is not JSON: train the model again or restore the file") from error
        if not isinstance(data, dict) or data.get("format") != FORMAT:
            raise InputError(f"'{path}' is no description of a recognizer of format {FORMAT}")
        missing = {"labels", "units", "log_mel", "encoder"} - data.keys()
        if missing:
            raise InputError(f"'{path}' lacks '{sorted(missing)[0]}'")
        encoder = CTCEncoder(build(CTCEncoderConfig, data["encoder"], source=str(path)))
        try:
            encoder.load_state_dict(load_file(folder / "model.safetensors"))
        except (OSError, SafetensorError, RuntimeError) as error:
            reason = str(error).splitlines()[0]
            raise InputError(f"'{folder / 'model.safetensors'}' does not fit its description: {reason}") from error
        labels = Labels(tuple(data["labels"]), data["units"])
        if len(labels.names) != encoder.config.labels:
            raise InputError(f"'{path}' names {len(labels.names)} labels, the network has {encoder.config.labels}")
        return cls(encoder.eval(), labels, build(LogMelConfig, data["log_mel"], source=str(path)))


@dataclass
class StreamingRecognizer:
    """Recognizes sound in chunks of any size; the words are those of the whole recording.

    Args:
        recognizer: Model to run; it must be causal.

    Example:
        >>> labels = Labels(("<blank>", "yes"), "word")
        >>> model = Recognizer(CTCEncoder(CTCEncoderConfig(labels=2)), labels, LogMelConfig())
        >>> stream = StreamingRecognizer(model)
        >>> stream.push(np.zeros(800, np.float32)).shape
        torch.Size([3, 2])
    """

    recognizer: Recognizer
    spans: list[Span] = field(default_factory=list)
    """Labels emitted so far, each one frame long."""

    def __post_init__(self) -> None:
        self._features = LogMel(self.recognizer.log_mel)
        self._state: EncoderState | None = None
        self._decoder = GreedyDecoder(self.recognizer.labels.blank)
        self._device = next(self.recognizer.encoder.parameters()).device
        self.recognizer.encoder.eval()

    @torch.no_grad()
    def push(self, samples: NDArray[np.float32]) -> Float[Tensor, "frames labels"]:
        """Takes the next samples; returns the log-probabilities of the frames they completed."""
        features = self._features.push(torch.from_numpy(samples)).to(self._device)
        log_probs, self._state = self.recognizer.encoder.stream(features[None], self._state)
        self.spans += self._decoder.push(log_probs[0].cpu())
        return log_probs[0].cpu()

    @property
    def words(self) -> list[TimedWord]:
        """Words so far; ``start`` is the time at which a word was complete."""
        return self.recognizer.labels.words(self.spans, frame_seconds=self.recognizer.frame_seconds)


def too_short_for_target(recognizer: Recognizer, corpus: Corpus) -> list[str]:
    """Names the utterances with fewer model frames than their labels, and the blanks between equal ones, need."""
    stack = recognizer.encoder.config.stack
    return [
        utterance.id
        for utterance, frames, labels in zip(corpus.utterances, corpus.features, corpus.targets, strict=True)
        # Two equal labels in a row need a blank between them, or they would collapse into one.
        if len(frames) // stack < len(labels) + sum(a == b for a, b in pairwise(labels))
    ]


def blank_share(recognizer: Recognizer, corpus: Corpus) -> float:
    """Computes the share of model frames at which the blank is the likeliest label."""
    blank = frames = 0
    for _, log_probs, lengths in recognizer.score(corpus):
        inside = frame_mask(lengths, log_probs.shape[1])
        blank += int(((log_probs.argmax(-1) == recognizer.labels.blank) & inside).sum())
        frames += int(inside.sum())
    return blank / max(frames, 1)


def same_weights(first: Recognizer, second: Recognizer) -> bool:
    """Compares the weights of two recognizers to the bit."""
    others = second.encoder.state_dict()
    return all(torch.equal(tensor, others[name]) for name, tensor in first.encoder.state_dict().items())


@dataclass(frozen=True)
class Peakiness:
    """How peaked, silent and sure (mean entropy of a frame, nats) the posteriors of one utterance are.

    ``frames_per_token`` and ``first``, the first non-blank frame or -1, are those of sampled paths.
    """

    frames_per_token: float | None
    blank: float
    entropy: float
    first: list[int]


def peakiness(log_probs: Float[Tensor, "T V"], *, blank: int, samples: int, generator: torch.Generator) -> Peakiness:
    """Measures one utterance's posteriors and paths sampled from them.

    Example:
        >>> sure = torch.tensor([[0.0, -99.0], [-99.0, 0.0], [-99.0, 0.0]])
        >>> found = peakiness(sure, blank=0, samples=2, generator=torch.Generator().manual_seed(0))
        >>> found.frames_per_token, found.first
        (2.0, [1, 1])
    """
    paths = sample_paths(log_probs[None], samples, generator=generator)
    batch = PathBatch(paths, torch.tensor([len(log_probs)]), blank)
    collapsed, emitted = collapse(batch), paths != blank
    tokens = int(collapsed.counts.sum())
    # argmax gives the first of equal maxima: the first frame that is not blank.
    first = torch.where(emitted.any(-1), emitted.to(torch.int8).argmax(-1), -1)[0]
    probabilities = log_probs.exp()
    # 0 log 0 is 0.
    entropy = -torch.where(probabilities > 0, probabilities * log_probs, 0.0).sum(-1)
    return Peakiness(
        int(emitted.sum()) / tokens if tokens else None,
        float(probabilities[:, blank].mean()),
        float(entropy.mean()),
        first.tolist(),
    )
