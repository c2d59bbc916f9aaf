"""The playground's model under several requests at once: nobody sees another's push, cancelled or not."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest

from seqtant.lm.huggingface import HuggingFaceLM
from seqtant.runs.recorder import Context
from seqtant.steering.config import ChooseConfig
from seqtant.steering.playground.studio import Studio

PROMPT, TOKENS = "talk : how are you ?", 12


@pytest.fixture
def studio(model: HuggingFaceLM, tmp_path: Path) -> Studio:
    model.model.save_pretrained(tmp_path)
    assert model.tokenizer is not None
    model.tokenizer.save_pretrained(tmp_path)
    (tmp_path / "manifest.json").write_text("{}", encoding="utf-8")
    return Studio(ChooseConfig(model=str(tmp_path), prompts=4, items=8, max_pairs=8), Context(device="cpu"))


def said(studio: Studio, strength: float, cancelled: threading.Event, *, most: int = 1000) -> dict[str, str]:
    texts = {}
    for number, piece in enumerate(studio.speak(PROMPT, strength, studio.bench.vector.layers, TOKENS, cancelled)):
        texts[piece["side"]] = piece["text"]
        if number + 1 == most:
            cancelled.set()
    return texts


def test_requests_at_once_say_what_they_say_alone(studio: Studio) -> None:
    reach = 3 * studio.norm
    alone = {strength: said(studio, strength, threading.Event()) for strength in (reach, -reach)}
    assert alone[reach]["steered"] != alone[-reach]["steered"]
    assert alone[reach]["plain"] == alone[-reach]["plain"]
    together: dict[Any, dict[str, str]] = {}

    def ask(name: str, strength: float, most: int) -> None:
        together[name] = said(studio, strength, threading.Event(), most=most)

    jobs = (("up", reach, 1000), ("cancelled", -reach, 3), ("down", -reach, 1000))
    threads = [threading.Thread(target=ask, args=job) for job in jobs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert together["up"] == alone[reach]
    assert together["down"] == alone[-reach]
    assert together["cancelled"] != together["down"]
    assert said(studio, 0.0, threading.Event())["steered"] == alone[reach]["plain"], "nothing is left behind"


def test_what_is_measured_waits_for_its_turn(studio: Studio) -> None:
    answers: list[dict[str, Any]] = []
    thread = threading.Thread(target=lambda: answers.append(studio.about()))
    with studio.turn:
        thread.start()
        thread.join(0.3)
        assert not answers
    thread.join(60)
    assert answers
