"""A trained model with all it needs to hear: features, network, labels; saved as safetensors and JSON."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float, Int
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from seqtant.ctc.decoding.greedy import greedy_decode
from seqtant.ctc.recognition.dataset import Corpus
from seqtant.ctc.recognition.labels import Labels
from seqtant.ctc.recognition.latency import Heard
from seqtant.data.log_mel import LogMel, LogMelConfig
from seqtant.data.speech import Utterance
from seqtant.data.timed_words import TimedWord
from seqtant.errors import InputError
from seqtant.models.ctc_encoder import CTCEncoder, CTCEncoderConfig
from seqtant.runs.files import whole_file, write_text
from seqtant.settings import build, plain

FORMAT = 1


@dataclass
class Recognizer:
    """Sound in, labels out.

    Args:
        encoder: The network.
        labels: Its labels.
        log_mel: Its features.
    """

    encoder: CTCEncoder
    labels: Labels
    log_mel: LogMelConfig

    @property
    def frame_seconds(self) -> float:
        """Seconds per model frame."""
        return self.encoder.config.stack * self.log_mel.hop / self.log_mel.rate

    @torch.no_grad()
    def log_probs(self, utterance: Utterance) -> Float[Tensor, "frames labels"]:
        """Log-probabilities of one utterance."""
        features = LogMel(self.log_mel).whole(torch.from_numpy(utterance.recording.at(self.log_mel.rate).samples))
        device = next(self.encoder.parameters()).device
        return self.encoder.eval()(features[None].to(device), torch.tensor([len(features)]))[0][0].cpu()

    @torch.no_grad()
    def hear(self, corpus: Corpus, *, batch: int = 64) -> list[Heard]:
        """Decodes a corpus greedily: words at their emission times beside the true ones.

        Where true times are not known, words alone are given.
        A frame is known at its end, so a label of frame t is emitted at (t + 1) frames; there is no look-ahead.
        """
        heard: list[Heard] = []
        for chosen, log_probs, lengths in self.scored(corpus, batch=batch):
            decoded = greedy_decode(log_probs, lengths, blank=self.labels.blank)
            for number, spans in zip(chosen, decoded, strict=True):
                utterance = corpus.utterances[number]
                words = tuple(self.labels.words(spans, frame_seconds=self.frame_seconds))
                heard.append(Heard(utterance.id, words, *_reference(utterance)))
        return heard

    @torch.no_grad()
    def scored(
        self, corpus: Corpus, *, batch: int = 64
    ) -> Iterable[tuple[Sequence[int], Float[Tensor, "B frames labels"], Int[Tensor, " B"]]]:
        """Log-probabilities of a corpus, batch by batch, in its order."""
        device = next(self.encoder.parameters()).device
        self.encoder.eval()
        for start in range(0, len(corpus), batch):
            chosen = range(start, min(start + batch, len(corpus)))
            rows = corpus.rows(chosen)
            log_probs, lengths = self.encoder(rows["features"].to(device), rows["lengths"])
            yield chosen, log_probs.cpu(), lengths

    def save(self, folder: Path) -> None:
        """Writes ``model.safetensors`` and ``recognizer.json``, each whole or not at all."""
        folder.mkdir(parents=True, exist_ok=True)
        with whole_file(folder / "model.safetensors") as temporary:
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
    def load(cls, folder: Path) -> Recognizer:
        """Reads what :meth:`save` wrote.

        Raises:
            InputError: The folder holds no recognizer, or it is damaged; the message says which file.
        """
        path = folder / "recognizer.json"
        if not path.is_file():
            raise InputError(f"'{folder}' holds no recognizer.json: give a folder that 'seqtant ctc train' wrote")
        data = _read_json(path)
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


def _reference(utterance: Utterance) -> tuple[tuple[TimedWord, ...], bool]:
    """True words, and whether their times are known."""
    if len(utterance.words) == len(utterance.text):
        return utterance.words, True
    return tuple(TimedWord(word, 0.0, 0.0) for word in utterance.text), False


def _read_json(path: Path) -> dict[str, Any]:
    try:
        data = json.loads(path.read_text(encoding="utf-8"))
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"'{path}' is not JSON: train the model again or restore the file") from error
    if not isinstance(data, dict) or data.get("format") != FORMAT:
        raise InputError(f"'{path}' is no description of a recognizer of format {FORMAT}")
    missing = {"labels", "units", "log_mel", "encoder"} - data.keys()
    if missing:
        raise InputError(f"'{path}' lacks '{sorted(missing)[0]}'")
    return data
