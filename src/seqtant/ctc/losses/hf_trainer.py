"""Align With Purpose in other people's training: a hook for Hugging Face CTC models and their Trainer.

For a plain loop no hook is needed: add ``purpose(log_probs, targets, input_lengths, target_lengths, step=step)`` to the
loss before ``backward``.
"""

from __future__ import annotations

from types import TracebackType
from typing import Any

import torch
from torch import Tensor, nn

from seqtant.ctc.lattice.paths import CTCInput
from seqtant.ctc.losses.base import LossTerm
from seqtant.errors import InputError
from seqtant.training.losses import IGNORED


class AttachedPurpose:
    """Adds a loss term to the loss that a model computes itself, in training mode and where labels are given.

    Works with any module whose output has ``loss`` and ``logits`` (B, T, V), such as ``Wav2Vec2ForCTC``. The blank is
    the one of the term; for transformers that is ``config.pad_token_id``. A model that sums its loss over the batch
    (``ctc_loss_reduction="sum"``, the default there) gets the term summed over the batch as well; with ``"mean"`` the
    model divides by target lengths and the term does not: weights do not carry over between the two.

    Args:
        model: The model; hooked at once.
        term: Usually :class:`seqtant.ctc.losses.align_with_purpose.AlignWithPurpose`.
        generator: Source of randomness, on the model's device.

    Attributes:
        step: Training step for weight schedules; set it in a plain loop, :func:`trainer_callback` does it in a Trainer.
        stats: Statistics of the newest forward pass.
    """

    def __init__(self, model: nn.Module, term: LossTerm, *, generator: torch.Generator | None = None) -> None:
        self.term, self.generator = term, generator
        self.step = 0
        self.stats: dict[str, float] = {}
        self._handle = model.register_forward_hook(self._add, with_kwargs=True)

    def detach(self) -> None:
        """Takes the hook off."""
        self._handle.remove()

    def __enter__(self) -> AttachedPurpose:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.detach()

    def _add(self, module: nn.Module, arguments: tuple[Any, ...], named: dict[str, Any], output: Any) -> Any:
        labels = named.get("labels")
        if not module.training or labels is None:
            return output
        if getattr(output, "loss", None) is None or getattr(output, "logits", None) is None:
            raise InputError("the model's output has no loss and logits: attach to a model such as Wav2Vec2ForCTC")
        log_probs = output.logits.float().log_softmax(-1)  # [B, T, V]
        targets, counts = compact_labels(labels)
        mask = named.get("attention_mask")
        lengths = torch.full((len(log_probs),), log_probs.shape[1], device=log_probs.device)
        if mask is not None:
            # The mask counts samples of sound: the model's own rule says how many frames its convolutions make of them.
            rule = getattr(module, "_get_feat_extract_output_lengths", None)
            frames = mask.sum(-1) if rule is None else rule(mask.sum(-1))
            lengths = frames.to(torch.long).clamp(max=log_probs.shape[1])
        data = CTCInput.of(log_probs, lengths, targets, counts, blank=self.term.blank)
        loss, self.stats = self.term.compute(data, generator=self.generator, step=self.step)
        # The term is a mean over the batch; a model that sums its own loss gets the term summed too.
        summed = getattr(getattr(module, "config", None), "ctc_loss_reduction", "mean") == "sum"
        output.loss = output.loss + loss * (len(labels) if summed else 1)
        return output


def compact_labels(labels: Tensor) -> tuple[Tensor, Tensor]:
    """Moves labels with -100 anywhere, as transformers pads them, to the front: (B, U) with lengths.

    Example:
        >>> compact_labels(torch.tensor([[5, -100, 6], [7, -100, -100]]))
        (tensor([[5, 6, 0],
                [7, 0, 0]]), tensor([2, 1]))
    """
    kept = labels != IGNORED
    # A stable sort by "kept first" keeps the order of the tokens.
    order = kept.int().argsort(dim=1, descending=True, stable=True)
    counts = kept.sum(1)
    inside = torch.arange(labels.shape[1], device=labels.device) < counts[:, None]
    return torch.where(inside, labels.gather(1, order), 0), counts


def trainer_callback(attached: AttachedPurpose, *, metric: str = "eval_wer", most_increase: float = 0.3) -> Any:
    """Builds a callback for Hugging Face's Trainer: keeps the step, logs the statistics, stops a run that collapses.

    Args:
        attached: The hook.
        metric: Evaluation metric to watch.
        most_increase: Rise over its first value that ends the run, in the metric's own unit.
    """
    from transformers import TrainerCallback

    class PurposeCallback(TrainerCallback):
        """Runs beside the Trainer."""

        first: float | None = None

        def on_step_begin(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            attached.step = state.global_step

        def on_log(self, args: Any, state: Any, control: Any, logs: dict[str, float] | None = None, **_: Any) -> None:
            if logs is not None:
                logs.update({f"purpose/{name}": value for name, value in attached.stats.items()})

        def on_evaluate(
            self, args: Any, state: Any, control: Any, metrics: dict[str, float] | None = None, **_: Any
        ) -> None:
            value = (metrics or {}).get(metric)
            if value is None:
                return
            self.first = value if self.first is None else self.first
            if value > self.first + most_increase:
                control.should_training_stop = True

    return PurposeCallback()
