"""Scores an answer as good or bad: by likelihood, pattern, classifier, judge or callable; users add their own."""

from __future__ import annotations

import ipaddress
import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, cast
from urllib.error import URLError
from urllib.parse import urlsplit
from urllib.request import HTTPRedirectHandler, ProxyHandler, Request, build_opener

import numpy as np
import torch
from jaxtyping import Float

from seqtant.beb.config import Behavior
from seqtant.errors import InputError
from seqtant.lm.interface import CausalLM, encode
from seqtant.lm.loading import from_pretrained
from seqtant.lm.scoring import sequence_log_probs
from seqtant.registry import Registry, import_attribute
from seqtant.sources import check_folder, is_path, locate

GOOD_LABELS = ("good", "positive", "safe", "aligned", "label_1")
BAD_LABELS = ("bad", "negative", "unsafe", "misaligned", "label_0")
CLASSIFIER_BATCH = 32
JUDGE_QUESTION = (
    "You are given the end of a text and what was said next. Is what was said next good or bad{of}? "
    "Answer with one word, good or bad.\n\nText: {prompt}\n\nSaid next: {text}"
)
JUDGE_TIMEOUT_SECONDS = 60
JUDGE_PROMPT_CHARACTERS = 2000
"""Last characters of a prompt that a judge is shown."""


@dataclass(frozen=True)
class Answer:
    """One sampled answer."""

    prompt: str
    """Text that was answered."""
    text: str
    """The answer."""


Scorer = Callable[[Sequence[Answer]], Sequence[float]]
"""Scores answers from -1 (bad) to 1 (good)."""


@dataclass(frozen=True)
class ScorerNeeds:
    """What a scorer may be made from."""

    settings: Behavior
    """The user's settings of behavior."""
    argument: str
    """What follows the colon of the scorer's name."""
    minus: CausalLM
    """P-."""
    plus: CausalLM
    """P+."""


SCORERS: Registry[Callable[[ScorerNeeds], Scorer]] = Registry(
    "scorer of behavior",
    group="seqtant.beb_scorers",
    entries={
        "likelihood": "seqtant.beb.behavior.scorers:likelihood",
        "regex": "seqtant.beb.behavior.scorers:patterns",
        "classifier": "seqtant.beb.behavior.scorers:classifier",
        "judge": "seqtant.beb.behavior.scorers:judge",
    },
)
"""Name -> maker of a scorer."""


def open_scorer(settings: Behavior, minus: CausalLM, plus: CausalLM) -> Scorer:
    """Makes the scorer that the settings name, from the registry or as ``module:function``, or takes their function."""
    if not is_path(settings.scorer):
        if not callable(settings.scorer):
            raise InputError(f"{settings.scorer!r:.60} is no scorer: give a name or a function of a list of answers")
        return cast(Scorer, settings.scorer)
    chosen = str(settings.scorer)
    name, _, argument = chosen.partition(":")
    if name in SCORERS or not argument:
        return SCORERS[name](ScorerNeeds(settings, argument, minus, plus))
    try:
        found: Any = import_attribute(chosen)
    except (ImportError, AttributeError) as error:
        raise InputError(f"the scorer '{chosen}' cannot be imported: {error}") from error
    if not callable(found):
        raise InputError(f"the scorer '{chosen}' is no function of a list of answers")
    return cast(Scorer, found)


def checked_scores(scorer: Scorer, answers: Sequence[Answer]) -> Float[np.ndarray, " answers"]:
    """Scores answers, and refuses scores that are not one number from -1 to 1 per answer."""
    scores = np.asarray(list(scorer(answers)), dtype=np.float64)
    if scores.shape != (len(answers),) or not (np.abs(scores) <= 1).all():
        raise InputError("a scorer must give one number from -1 (bad) to 1 (good) for every answer")
    return scores


def likelihood(needs: ScorerNeeds) -> Scorer:
    """Scores bad (-1) if P- finds the answer likelier than P+ does, without the prompt; else good (+1)."""
    if needs.minus is needs.plus:
        raise InputError("the scorer 'likelihood' needs a P+ that differs from P-")

    def score(answers: Sequence[Answer]) -> list[float]:
        texts = [answer.text.strip() for answer in answers]
        scores = [0.0] * len(texts)
        nonempty = [number for number, text in enumerate(texts) if text]
        spoken = [texts[number] for number in nonempty]
        # Each model scores the answer in its own tokens, so tokenizers may differ.
        plus, minus = (sequence_log_probs(model, encode(model, spoken)) for model in (needs.plus, needs.minus))
        for number, ratio in zip(nonempty, (plus - minus).tolist(), strict=True):
            scores[number] = 1.0 if ratio > 0 else -1.0
        return scores

    return score


def patterns(needs: ScorerNeeds) -> Scorer:
    """Scores good (+1) where a good pattern is found and no bad one, bad (-1) the other way round, else 0."""
    try:
        good, bad = (
            [re.compile(text, re.IGNORECASE) for text in texts] for texts in (needs.settings.good, needs.settings.bad)
        )
    except re.error as error:
        raise InputError(f"'{error.pattern}' is no regular expression: {error.msg}") from error
    if not good and not bad:
        raise InputError("the scorer 'regex' needs patterns: give behavior.good or behavior.bad")

    return lambda answers: [
        float(any(pattern.search(answer.text) for pattern in good))
        - float(any(pattern.search(answer.text) for pattern in bad))
        for answer in answers
    ]


def classifier(needs: ScorerNeeds) -> Scorer:
    """Scores with a sequence classifier in a Hugging Face folder, ``classifier:DIR``: P(good) - P(bad).

    Its labels are found by name: good, positive, safe or LABEL_1 against bad, negative, unsafe or LABEL_0.
    """
    folder = locate(needs.argument) if needs.argument else None
    if folder is None:
        raise InputError(f"no folder '{needs.argument}': write classifier:DIR with a local classifier")
    check_folder(folder, tokenizer=True)
    from transformers import AutoModelForSequenceClassification, AutoTokenizer

    tokenizer = from_pretrained(AutoTokenizer, folder, "the tokenizer of", local_files_only=True)
    network = from_pretrained(
        AutoModelForSequenceClassification, folder, "the classifier", local_files_only=True, use_safetensors=True
    ).eval()
    names = network.config.id2label
    good, bad = (
        [int(number) for number, name in names.items() if str(name).lower() in known]
        for known in (GOOD_LABELS, BAD_LABELS)
    )
    if not good or not bad:
        raise InputError(
            f"the classifier '{folder}' has labels {', '.join(map(str, names.values()))}: rename them to good and bad "
            "in its config.json"
        )

    @torch.no_grad()
    def score(answers: Sequence[Answer]) -> list[float]:
        scores: list[float] = []
        for begin in range(0, len(answers), CLASSIFIER_BATCH):
            texts = [answer.text for answer in answers[begin : begin + CLASSIFIER_BATCH]]
            inputs = tokenizer(texts, padding=True, truncation=True, return_tensors="pt")
            probs = network(**inputs).logits.float().softmax(dim=-1)  # [answers, labels]
            scores += (probs[:, good].sum(dim=1) - probs[:, bad].sum(dim=1)).clamp(-1, 1).tolist()
        return scores

    return score


def judge(needs: ScorerNeeds) -> Scorer:
    """Scores by asking a chat-completions server, ``judge:URL``, e.g. ``judge:http://127.0.0.1:8000/v1``."""
    address = needs.argument.rstrip("/")
    host = urlsplit(address).hostname
    if urlsplit(address).scheme not in {"http", "https"} or not host:
        raise InputError(f"'{needs.argument}' is no address: write judge:http://127.0.0.1:8000/v1")
    if not is_local(host) and not needs.settings.allow_remote:
        raise InputError(
            f"the judge at '{host}' is not on this machine: answers would be sent there; set behavior.allow_remote "
            "if that is wanted"
        )
    of = f" (bad means: {'; '.join(needs.settings.bad)})" if needs.settings.bad else ""

    def score(answers: Sequence[Answer]) -> list[float]:
        scores = []
        for answer in answers:
            shown = answer.prompt[-JUDGE_PROMPT_CHARACTERS:]
            text = _ask(address, JUDGE_QUESTION.format(of=of, prompt=shown, text=answer.text))
            words = re.findall(r"[a-z]+", text.lower())
            # Both words or neither: the judge did not decide.
            if ("good" in words) == ("bad" in words):
                raise InputError(f"the judge at '{address}' said {text!r}: it must say good or bad")
            scores.append(1.0 if "good" in words else -1.0)
        return scores

    return score


def is_local(host: str) -> bool:
    """Whether a host name means this machine.

    Example:
        >>> is_local("127.0.0.1"), is_local("localhost"), is_local("8.8.8.8"), is_local("example.org")
        (True, True, False, False)
    """
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class _NoRedirects(HTTPRedirectHandler):
    """Turns a redirect into an error: a server on this machine could send the question elsewhere."""

    def redirect_request(self, *_: object, **__: object) -> None:
        """Follows nothing."""


def _ask(address: str, question: str) -> str:
    """The text that the server answers, as an OpenAI-compatible one does."""
    body = {"model": "judge", "temperature": 0, "max_tokens": 4, "messages": [{"role": "user", "content": question}]}
    request = Request(f"{address}/chat/completions", json.dumps(body).encode(), {"Content-Type": "application/json"})
    # A proxy of the environment, or a redirect, would take what is meant for this machine elsewhere.
    opener = build_opener(ProxyHandler({}), _NoRedirects)
    try:
        with opener.open(request, timeout=JUDGE_TIMEOUT_SECONDS) as reply:
            return str(json.load(reply)["choices"][0]["message"]["content"])
    except (URLError, OSError, ValueError, LookupError, TypeError) as error:
        raise InputError(f"the judge at '{address}' does not answer as a chat server does: {error}") from error
