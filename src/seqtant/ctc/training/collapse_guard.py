"""A watch over a training run: stops when word errors or silence explode, and keeps the last good weights."""

from __future__ import annotations

from torch import Tensor, nn

from seqtant.ctc.config import Guard
from seqtant.ctc.decoding.word_errors import WordErrors, word_errors
from seqtant.ctc.recognition.dataset import Corpus
from seqtant.ctc.recognition.evaluation import blank_share, first_utterances
from seqtant.ctc.recognition.recognizer import Recognizer
from seqtant.training import Periodic


class CollapseError(Exception):
    """The run collapsed; the guard holds the last good weights."""


class CollapseGuard:
    """Looks at some development utterances every so many steps.

    Args:
        recognizer: What is being trained.
        corpus: Development utterances.
        settings: When a run counts as collapsed.
    """

    def __init__(self, recognizer: Recognizer, corpus: Corpus, settings: Guard) -> None:
        self.recognizer, self.settings = recognizer, settings
        self.corpus = first_utterances(corpus, settings.utterances)
        self.start = development_wer(recognizer, self.corpus)
        self.good_step = 0
        self.good_weights = self._copy()
        self.history: list[tuple[int, float, float]] = []
        """(step, word error rate in percent, blank share) of each look."""

    @property
    def callback(self) -> Periodic:
        """To hand to the training loop."""
        return Periodic(self.settings.every, self.look)

    def look(self, step: int, model: nn.Module) -> None:
        """Checks the model as it is now.

        Raises:
            CollapseError: It has collapsed.
        """
        wer, silence = development_wer(self.recognizer, self.corpus), blank_share(self.recognizer, self.corpus)
        model.train()
        self.history.append((step, wer, silence))
        if wer > self.start + self.settings.wer_increase:
            raise CollapseError(f"step {step}: the word error rate rose from {self.start:.1f} to {wer:.1f} %")
        if silence > self.settings.blank_share:
            raise CollapseError(f"step {step}: {100 * silence:.1f} % of all frames are blank")
        self.good_step, self.good_weights = step, self._copy()

    def restore(self) -> None:
        """Puts the last good weights back."""
        self.recognizer.encoder.load_state_dict(self.good_weights)

    def _copy(self) -> dict[str, Tensor]:
        return {name: tensor.detach().clone() for name, tensor in self.recognizer.encoder.state_dict().items()}


def development_wer(recognizer: Recognizer, corpus: Corpus) -> float:
    """Word error rate in percent; needs no word times."""
    total = WordErrors(0, 0, 0, 0)
    for heard, utterance in zip(recognizer.hear(corpus), corpus.utterances, strict=True):
        total += word_errors([word.word for word in heard.hypothesis], utterance.text)
    return 100 * (total.rate or 0.0)
