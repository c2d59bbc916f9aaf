"""Adapter for lm-evaluation-harness 0.4: its multiple-choice tasks as labeling tasks, our scorer as its model.

Needs the extra ``harness``. As a model: ``lm_eval.simple_evaluate(model=harness_model(load("FOLDER")), tasks=[...])``.
As tasks: ``--tasks harness:NAME`` wherever this package takes a task. The model half imports nothing of this package,
the task half only :class:`Task`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from seqtant.errors import InputError
from seqtant.optional import require

if TYPE_CHECKING:
    from seqtant.icl.prompts.tasks import Task
    from seqtant.lm.interface import CausalLM

EXTRA = "harness"


def harness_task(name: str, *, include: str | None = None) -> Task:
    """Loads a multiple-choice task of the harness whose choices are the same for every document.

    Args:
        name: Its name there, e.g. ``sst2``.
        include: Folder with further task files.

    Raises:
        MissingExtraError: The harness is not installed.
        InputError: There is no such task, or it is not of that kind.
    """
    manager = require("lm_eval.tasks", extra=EXTRA).TaskManager(include_path=include)
    if name not in manager.all_tasks:
        raise InputError(f"lm-evaluation-harness has no task '{name}': 'lm-eval ls tasks' lists them")
    task = next(iter(manager.load([name])["tasks"].values()))
    return convert_task(name, task)


def convert_task(name: str, task: Any) -> Task:
    """Converts a loaded task of the harness: its documents, its wording, its delimiters."""
    from seqtant.icl.prompts.tasks import Example, Task

    if getattr(task, "OUTPUT_TYPE", None) != "multiple_choice":
        raise InputError(f"task '{name}' of lm-evaluation-harness is no multiple choice: give one that is")
    documents: Sequence[Mapping[str, Any]] = list(task.eval_docs)
    # A labeling task has one set of labels: choices that change from document to document are answers, no labels.
    choices = {tuple(map(str, task.doc_to_choice(document))) for document in documents}
    if len(choices) != 1:
        raise InputError(f"task '{name}' of lm-evaluation-harness has other choices in every document: labels differ")
    (labels,) = choices
    shown = [(str(task.doc_to_text(document)), task.doc_to_target(document)) for document in documents]
    examples = (Example(text, labels[target] if isinstance(target, int) else str(target)) for text, target in shown)
    return Task(
        name=name,
        examples=tuple(dict.fromkeys(examples)),
        template="{input}" + task.config.target_delimiter + "{label}",
        labels=labels,
        delimiter=task.config.fewshot_delimiter,
        opening=str(task.config.description or ""),
    )


def harness_model(model: CausalLM, *, tokens_per_batch: int | None = None) -> Any:
    """Wraps a model as one of the harness: every context is read once and shared by its continuations.

    Returns:
        An instance of ``lm_eval.api.model.LM`` for ``simple_evaluate(model=...)``.

    Raises:
        MissingExtraError: The harness is not installed.
    """
    from seqtant.lm.interface import encode
    from seqtant.lm.scoring import sequence_log_probs

    base: Any = require("lm_eval.api.model", extra=EXTRA).LM

    class SeqtantHarness(base):
        """Log-likelihoods only: what multiple-choice and perplexity tasks ask for."""

        def loglikelihood(self, requests: Sequence[Any]) -> list[tuple[float, bool]]:
            return score_continuations(model, [request.args for request in requests], tokens_per_batch)

        def loglikelihood_rolling(self, requests: Sequence[Any]) -> list[float]:
            texts = encode(model, [request.args[0] for request in requests])
            return sequence_log_probs(model, texts, tokens_per_batch=tokens_per_batch).tolist()

        def generate_until(self, requests: Sequence[Any]) -> list[str]:
            raise InputError(
                "this adapter scores and does not write text: choose a task of multiple choice or perplexity"
            )

    return SeqtantHarness()


def score_continuations(
    model: CausalLM, pairs: Sequence[tuple[str, str]], tokens_per_batch: int | None = None
) -> list[tuple[float, bool]]:
    """Scores each continuation of its context: its log-probability, and whether greedy decoding would write it.

    Equal contexts are read once, whatever order the pairs come in. The start token stands before the context, as in the
    harness with ``add_bos_token=True``; a model without one must be given a context.
    """
    from seqtant.lm.continuations import batch_continuation_log_probs
    from seqtant.lm.interface import encode_continuations
    from seqtant.lm.scoring import next_token_log_probs

    by_context: dict[str, list[int]] = {}
    for number, (context, _) in enumerate(pairs):
        by_context.setdefault(context, []).append(number)
    prefixes: list[list[int]] = []
    ends: list[list[list[int]]] = []
    for context, numbers in by_context.items():
        # Spaces at the end of the context go with the continuation, as tokenizers want it.
        bare = context.rstrip(" ")
        gap = context[len(bare) :]
        prefix, own = encode_continuations(model, bare, [gap + pairs[number][1] for number in numbers])
        prefixes.append(prefix)
        ends.append(own)
    scores = batch_continuation_log_probs(model, prefixes, ends, tokens_per_batch=tokens_per_batch)
    found: list[tuple[float, bool]] = [(0.0, False)] * len(pairs)
    for numbers, own, prefix, lines in zip(by_context.values(), scores, prefixes, ends, strict=True):
        for number, log_probs, ids in zip(numbers, own, lines, strict=True):
            # Above 1/2 every token is the likeliest, below 1/vocabulary none can be: only between must one look.
            least = float(log_probs.exp().min())
            greedy = least > 0.5
            if not greedy and least * model.vocabulary_size >= 1:
                whole = [*prefix, *ids]
                (rows,) = next_token_log_probs(model, [whole], [list(range(len(prefix) - 1, len(whole) - 1))])
                greedy = rows.argmax(dim=1).tolist() == list(ids)
            found[number] = (float(log_probs.sum()), greedy)
    return found
