"""An alignment stage in miniature: a copy of the model trained on documents of P+ alone."""

from __future__ import annotations

from seqtant.beb.components.tuning import tuned
from seqtant.beb.prompts.sampling import draw_prompts
from seqtant.beb.study.components_study import Study
from seqtant.errors import InputError
from seqtant.lm.huggingface import HuggingFaceLM
from seqtant.runs.context import Context
from seqtant.training import TrainingConfig

DOCUMENTS = 70
"""Last part of the seed of the documents."""


def align(study: Study, training: TrainingConfig, batch: int, context: Context) -> HuggingFaceLM:
    """Trains a copy of the study's model on documents drawn from P+; the model itself stays as it is.

    Args:
        study: Model and P+.
        training: Course of the training.
        batch: Documents of a batch; none is seen twice.
        context: Seed, device, progress; with a folder the copy is kept in ``aligned``.

    Raises:
        InputError: The model has no weights, or the documents do not fit its context.
    """
    if not isinstance(study.model, HuggingFaceLM):
        raise InputError(f"'{study.model.name}' has no weights to align: give --after, a model after its alignment")
    documents = draw_prompts(
        study.plus,
        [study.opening] * (training.steps * batch),
        study.config.sentences,
        study.splitter,
        generator=study.generator(DOCUMENTS),
        room=study.room,
    ).prompts
    return tuned(study.model, documents, training, batch, context, name="aligned")
