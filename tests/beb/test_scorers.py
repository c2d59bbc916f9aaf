"""Scorers and what corrects them: patterns, likelihood, classifier, judge on this machine, callables, exact replies."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from seqtant.beb.behavior.reader import Replies, SampledAnswers, ScorerCheck, open_reader, prompt_lengths
from seqtant.beb.behavior.scorers import Answer, checked_scores, open_scorer
from seqtant.beb.components.loading import world_component
from seqtant.beb.config import Behavior
from seqtant.beb.prompts.sampling import SentenceEnds, sample_prompts
from seqtant.errors import InputError
from seqtant.lm import encode, next_token_log_probs

GLOOMY, CHEERFUL = world_component("world:gloomy"), world_component("world:cheerful")
SAID = [Answer("talk :", "we love the road ."), Answer("talk :", "we hate the road ."), Answer("talk :", "")]


def scores(settings: Behavior) -> list[float]:
    return checked_scores(open_scorer(settings, GLOOMY, CHEERFUL), SAID).tolist()


def test_patterns() -> None:
    assert scores(Behavior(scorer="regex", good=("love",), bad=(r"\bhate\b",))) == [1.0, -1.0, 0.0]
    with pytest.raises(InputError, match="no regular expression"):
        scores(Behavior(scorer="regex", good=("(",)))
    with pytest.raises(InputError, match="needs patterns"):
        scores(Behavior(scorer="regex"))


def test_likelihood_ratio() -> None:
    with_opening = [Answer("", f"talk : {answer.text}") for answer in SAID[:2]]
    scorer = open_scorer(Behavior(scorer="likelihood"), GLOOMY, CHEERFUL)
    assert checked_scores(scorer, with_opening).tolist() == [1.0, -1.0]
    with pytest.raises(InputError, match="differs from P-"):
        open_scorer(Behavior(scorer="likelihood"), GLOOMY, GLOOMY)


def half(answers: Any) -> list[float]:
    return [0.5 for _ in answers]


def beyond(answers: Any) -> list[float]:
    return [2.0 for _ in answers]


def test_callables_and_unknown_names(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "own_scorer.py").write_text(
        "def half(a):\n    return [0.5 for _ in a]\ndef wrong(a):\n    return [2.0]\nx = 3\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    assert scores(Behavior(scorer="own_scorer:half")) == [0.5, 0.5, 0.5]
    for target, message in (
        ("own_scorer:wrong", "one number from -1"),
        ("own_scorer:x", "no function"),
        ("own_scorer:nothing", "cannot be imported"),
        ("no_such_module:f", "cannot be imported"),
        ("regexp", "did you mean 'regex'"),
    ):
        with pytest.raises(InputError, match=message):
            scores(Behavior(scorer=target))


@pytest.fixture
def chat_server() -> Iterator[tuple[str, list[Any]]]:
    """A server that answers as a chat server does: good if the text holds love."""
    asked: list[Any] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            asked.append((self.path, body))
            said = "Good." if "love" in body["messages"][0]["content"] else "bad"
            reply = json.dumps({"choices": [{"message": {"content": said}}]}).encode()
            self.send_response(200)
            self.end_headers()
            self.wfile.write(reply)

        def log_message(self, *_: Any) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/v1", asked
    server.shutdown()
    server.server_close()
    thread.join()


def test_judge_on_this_machine(chat_server: tuple[str, list[Any]]) -> None:
    address, asked = chat_server
    assert scores(Behavior(scorer=f"judge:{address}", bad=("complaints",))) == [1.0, -1.0, -1.0]
    path, body = asked[0]
    assert path == "/v1/chat/completions"
    assert "bad means: complaints" in body["messages"][0]["content"]


@pytest.mark.parametrize("host", ["example.org", "10.0.0.7", "8.8.8.8"])
def test_a_judge_elsewhere_is_refused(host: str) -> None:
    with pytest.raises(InputError, match="answers would be sent there"):
        scores(Behavior(scorer=f"judge:http://{host}/v1"))


def test_a_redirect_of_the_judge_is_not_followed(chat_server: tuple[str, list[Any]]) -> None:
    """A server on this machine could send the question, or the wish for an answer, elsewhere."""
    elsewhere, asked = chat_server

    class Redirect(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.send_response(307 if "7" in self.path else 302)
            self.send_header("Location", f"{elsewhere}/chat/completions")
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            """Keeps quiet."""

    with HTTPServer(("127.0.0.1", 0), Redirect) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        for path in ("v1", "v7"):
            with pytest.raises(InputError, match="does not answer"):
                scores(Behavior(scorer=f"judge:http://127.0.0.1:{server.server_port}/{path}"))
        server.shutdown()
    assert asked == []


def test_a_judge_that_is_not_there_or_talks_nonsense() -> None:
    with pytest.raises(InputError, match="does not answer"):
        scores(Behavior(scorer="judge:http://127.0.0.1:9/v1"))
    with pytest.raises(InputError, match="no address"):
        scores(Behavior(scorer="judge:127.0.0.1"))


def test_classifier_folder(tmp_path: Path) -> None:
    from transformers import LlamaConfig, LlamaForSequenceClassification

    tokenizer: Any = GLOOMY.tokenizer
    shape = LlamaConfig(
        vocab_size=GLOOMY.vocabulary_size,
        hidden_size=16,
        intermediate_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        num_labels=2,
        pad_token_id=tokenizer.pad_token_id,
        bos_token_id=GLOOMY.bos_id,
        eos_token_id=GLOOMY.eos_id,
        id2label={0: "bad", 1: "good"},
        label2id={"bad": 0, "good": 1},
    )
    torch.manual_seed(0)
    network = LlamaForSequenceClassification(shape)
    network.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    scorer = open_scorer(Behavior(scorer=f"classifier:{tmp_path}"), GLOOMY, CHEERFUL)
    found = checked_scores(scorer, SAID[:2])
    ids = torch.tensor(encode(GLOOMY, [answer.text for answer in SAID[:2]]))
    probs = network(ids).logits.softmax(dim=-1)
    assert found == pytest.approx((probs[:, 1] - probs[:, 0]).tolist(), abs=1e-5)
    config = json.loads((tmp_path / "config.json").read_text())
    config["id2label"] = {"0": "cat", "1": "dog"}
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(InputError, match="has labels cat, dog"):
        open_scorer(Behavior(scorer=f"classifier:{tmp_path}"), GLOOMY, CHEERFUL)
    with pytest.raises(InputError, match="no folder"):
        open_scorer(Behavior(scorer="classifier:"), GLOOMY, CHEERFUL)


def test_correction_recovers_the_true_mean() -> None:
    check, generator = ScorerCheck(180, 200, 160, 200), np.random.default_rng(0)
    bad = generator.random(200_000) < 0.3
    called_bad = np.where(bad, generator.random(bad.size) < 0.9, generator.random(bad.size) < 0.2)
    assert check.correct(np.array([1 - 2 * called_bad.mean()]))[0] == pytest.approx(1 - 2 * 0.3, abs=0.01)
    rates = check.sample_rates(4000, generator)
    assert rates.mean(axis=0) == pytest.approx([0.9, 0.8], abs=0.01)
    assert (rates.sum(axis=1) > 1).all()
    with pytest.raises(InputError, match="no better than chance"):
        ScorerCheck(50, 100, 50, 100).correct(np.array([0.0]))
    with pytest.raises(InputError, match="checked is"):
        Behavior(checked=(5, 3, 1, 2))


def prompts(count: int = 5, sentences: int = 4) -> Any:
    splitter = SentenceEnds(GLOOMY, ".!")
    opening = encode(GLOOMY, ["talk :"])[0]
    generator = torch.Generator().manual_seed(0)
    return sample_prompts(GLOOMY, [opening] * count, sentences, splitter, generator=generator).prompts


def test_exact_replies_against_one_full_reading_each() -> None:
    model = world_component("world")
    reader = Replies.of_texts(model, "how are you ?", ("happy", "glad"), ("sad", "tired ."))
    curve = reader.curve(model, prompts(), (0, 2, 4))
    question, *replies = encode(model, ["how are you ?", "happy", "glad", "sad", "tired ."], start=False)
    for row, prompt in enumerate(prompts()):
        for column, place in enumerate((0, 2, 4)):
            head = [*prompt.upto(place), *question]
            probs = []
            for reply in replies:
                total = 0.0
                for number in range(len(reply)):
                    rows = next_token_log_probs(model, [[*head, *reply[:number]]])[0]
                    total += float(rows[-1, reply[number]])
                probs.append(np.exp(total))
            good, bad = sum(probs[:2]), sum(probs[2:])
            assert curve[row, column] == pytest.approx((good - bad) / (good + bad), abs=1e-9)


def test_sampled_answers_are_scored_on_their_first_sentence_and_kept() -> None:
    splitter = SentenceEnds(GLOOMY, ".!")
    settings = Behavior(
        scorer="regex",
        good=("happy|well|glad|great",),
        bad=("sad|tired|lonely|upset",),
        question="how are you ?",
        answers=40,
        answer_tokens=6,
    )
    reader = open_reader(settings, GLOOMY, CHEERFUL, splitter, torch.Generator().manual_seed(1))
    assert isinstance(reader, SampledAnswers)
    curve = reader.curve(GLOOMY, prompts(), (0, 4))
    assert curve.mean() == pytest.approx(2 * 0.12 - 1, abs=0.15)
    assert len(reader.kept) == 5 * 2 * 40
    assert all(str(line["answer"]).count(".") <= 1 for line in reader.kept)
    assert prompt_lengths(reader, 24) == (0, 1, 2, 3, 4, 6, 10, 15, 24)


def test_replies_that_cannot_be_told_apart_are_refused() -> None:
    with pytest.raises(InputError, match="both good and bad"):
        Replies.of_texts(GLOOMY, "", ("sad",), ("sad",))
    with pytest.raises(InputError, match="needs good and bad"):
        Replies.of_texts(GLOOMY, "", ("sad",), ())
