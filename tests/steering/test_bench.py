"""Sweeps against one strength at a time, scores against their definitions, slopes against central differences."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from seqtant.errors import InputError
from seqtant.lm import continuation_log_probs, encode_continuations
from seqtant.lm.huggingface import HuggingFaceLM
from seqtant.reference.world.world import World
from seqtant.steering.data.items import BehaviorPrompt, Passage, Question, read_behavior, read_helpfulness
from seqtant.steering.sweeping.bench import Bench, alignment_gradients, helpfulness_gradients, usable_range
from seqtant.steering.sweeping.sweep import plan_scoring, sweep_log_probs
from seqtant.steering.vectors.hooks import apply_steering
from seqtant.steering.vectors.vector import SteeringVector
from tests.lm.conftest import build
from tests.steering.samples import make_bench, make_model, random_vector

STRENGTHS = [-3.0, 0.0, 0.5, 4.0]
LONG = Question("talk : how are", (" you ?", " you .", " glad and well", " sad"), 0)


def one_by_one(bench: Bench, prompt: str, texts: tuple[str, ...]) -> np.ndarray:
    rows = []
    start, ends = encode_continuations(bench.model, prompt, texts)
    for strength in STRENGTHS:
        where = {}
        if bench.positions != "all":
            where = {"positions": bench.positions, "prompt_lengths": len(start)}
        with apply_steering(bench.model, bench.vector, strength, **where):
            rows.append([float(s.sum()) for s in continuation_log_probs(bench.model, start, ends)])
    return np.array(rows)


@pytest.mark.parametrize("positions", ["all", "prompt", "last", "generated"])
@pytest.mark.parametrize("tokens_per_batch", [16, 4096])
def test_a_sweep_is_every_strength_alone(
    positions: str, tokens_per_batch: int, exact_model: HuggingFaceLM, vector: SteeringVector
) -> None:
    made = make_bench(exact_model, vector, prompts=3, items=5)
    bench = Bench(
        exact_model, vector, made.behavior, [*made.helpfulness, LONG], positions, tokens_per_batch=tokens_per_batch
    )
    read = bench(STRENGTHS)
    for number, item in enumerate(bench.questions):
        scores = one_by_one(bench, item.prompt, item.options)
        chances = np.exp(scores)
        assert read.helpfulness.full[:, number] == pytest.approx(chances[:, item.answer], rel=1e-5)
        assert read.helpfulness.format_rate[:, number] == pytest.approx(chances.sum(axis=1), rel=1e-5)
        restricted = chances[:, item.answer] / chances.sum(axis=1)
        assert read.helpfulness.restricted[:, number] == pytest.approx(restricted, rel=1e-5)
        assert read.helpfulness.right[:, number].tolist() == (chances.argmax(axis=1) == item.answer).tolist()
    for number, prompt in enumerate(bench.behavior):
        good, bad = (np.exp(one_by_one(bench, prompt.prompt, texts)).sum(axis=1) for texts in (prompt.good, prompt.bad))
        assert read.behavior.alignment[:, number] == pytest.approx((good - bad) / (good + bad), abs=1e-6)
        assert read.behavior.mass[:, number] == pytest.approx(good + bad, rel=1e-5)


def test_texts_are_scored_by_perplexity(exact_model: HuggingFaceLM, vector: SteeringVector) -> None:
    from seqtant.lm import encode, token_log_probs

    texts = ["book : tom lives in paris .", "talk : we love the lamp ."]
    bench = Bench(exact_model, vector, [], [Passage(text) for text in texts])
    read = bench.score_helpfulness([0.0, 2.0])
    with apply_steering(exact_model, vector, 2.0):
        scores = token_log_probs(exact_model, encode(exact_model, texts))
    assert read.full[1] == pytest.approx([float(s.mean().exp()) for s in scores], rel=1e-5)
    assert read.restricted is read.full


def test_what_no_strength_changes_and_what_rows_begin_with_is_read_once(
    model: HuggingFaceLM, vector: SteeringVector
) -> None:
    tokens = {0: 0, 2: 0, 3: 0}

    def counting(layer: int):
        def hook(_module: torch.nn.Module, _inputs: object, output: torch.Tensor) -> None:
            tokens[layer] += output.shape[0] * output.shape[1]

        return hook

    texts = ("the lamp is nice and old .", "the lamp is bad and old .", "the lamp is cold . we love the lamp .")
    questions = [Question(f"talk : {text}", (" .", " !"), 0) for text in texts]
    bench = Bench(model, vector, [], questions)
    mlps = [model.model.model.layers[layer].mlp.down_proj for layer in tokens]  # type: ignore[union-attr, index]
    hooks = [mlp.register_forward_hook(counting(layer)) for mlp, layer in zip(mlps, tokens, strict=True)]
    bench.score_helpfulness(STRENGTHS)
    for hook in hooks:
        hook.remove()
    lengths = [row.tokens.numel() for row in bench.helpfulness_plan.rows]
    assert tokens[0] == len(lengths) * max(lengths), "once, padding included"
    assert vector.layers == (1, 2)
    shared, longest = 6, max(lengths)  # "talk : the lamp is" and what begins all texts
    assert tokens[2] == len(STRENGTHS) * (shared + len(lengths) * (longest - shared))
    ends = longest - (min(lengths) - 1)
    assert tokens[3] == len(STRENGTHS) * len(lengths) * ends, (
        "before a scored place the last block makes keys and values only"
    )


@pytest.mark.parametrize("family", ["llama", "gpt2", "neox", "gemma2", "mistral", "gptj", "bloom"])
def test_a_sweep_is_one_pass_a_strength_in_every_family(family: str) -> None:
    """Prompts with a common beginning, unlike rests and a window shorter than they are, at every strength."""
    network, push = build(family), random_vector([1], width=16)
    prompts = [
        [0, 3, 4, 2, 3, 3, 2, 4, 2],
        [0, 3, 4, 2, 4, 3, 3, 2, 2, 4, 3],
        [0, 3, 4, 2, 2, 2, 3, 4],
        [2, 4, 3, 2, 2],
    ]
    scoring = plan_scoring(network, [(ids, [[2], [3, 4]]) for ids in prompts])
    found = sweep_log_probs(network, push, scoring, STRENGTHS)
    for row, strength in enumerate(STRENGTHS):
        with apply_steering(network, push, strength):
            expected = [
                [float(s.sum()) for s in continuation_log_probs(network, ids, [[2], [3, 4]])] for ids in prompts
            ]
        assert np.array([own[row] for own in found]) == pytest.approx(np.array(expected), abs=2e-5)


def test_one_token_answers_share_a_row(model: HuggingFaceLM) -> None:
    scoring = plan_scoring(model, [([1, 2], [[3], [4], [5, 6, 7], [5, 6]]), ([1], [[2]])])
    assert [row.tokens.tolist() for row in scoring.rows] == [[1, 2, 5, 6], [1]]
    assert scoring.counts == [4, 1]
    with pytest.raises(InputError, match="a continuation is empty"):
        plan_scoring(model, [([1], [[]])])


def test_a_prompt_that_is_too_long_is_named_by_its_beginning(model: HuggingFaceLM, vector: SteeringVector) -> None:
    made = make_bench(model, vector)
    long = BehaviorPrompt("talk : " + "we love the lamp . " * 40 + "how are you ?", (" glad",), (" sad",))
    expected = (
        r"^the prompt that begins 'talk : we love the lamp \. we love the lamp', with its continuation, needs 207 "
        "tokens, but 'small' reads at most 128: shorten it$"
    )
    with pytest.raises(InputError, match=expected):
        replace(made, behavior=[*made.behavior, long]).score_behavior([0.0])


@pytest.mark.parametrize(("good", "bad", "first", "second"), [
    ((" glad",), (" glad and well",), " glad", " glad and well"),
    ((" sad", " glad and well"), (" tom", " glad and"), " glad and", " glad and well"),
    ((" sad", " sad ."), (" tom",), " sad", " sad ."),
])  # fmt: skip
def test_continuations_of_which_one_begins_another_are_refused(
    good: tuple[str, ...], bad: tuple[str, ...], first: str, second: str, model: HuggingFaceLM, vector: SteeringVector
) -> None:
    """A reply may be both, so P(good) + P(bad) would not be the probability of either."""
    bench = replace(make_bench(model, vector), behavior=[BehaviorPrompt("talk : how are you ?", good, bad)] * 2)
    with pytest.raises(InputError, match=f"the continuation '{first}' begins '{second}': a reply may be both"):
        bench.score_behavior([0.0])


def test_slopes_are_central_differences(exact_model: HuggingFaceLM, vector: SteeringVector) -> None:
    made = make_bench(exact_model, vector, prompts=3, items=4)
    bench = Bench(exact_model, vector, made.behavior, [*made.helpfulness, LONG])
    step = 0.3  # norms are computed in float32 whatever the model's type: a small step drowns in their rounding
    for layer_number, layer in enumerate(vector.layers):
        alone = replace(bench, vector=vector.at([layer]))
        read = alone([-step, 0.0, step])
        differences = (read.behavior.alignment[2] - read.behavior.alignment[0]) / (2 * step)
        assert alignment_gradients(bench)[:, layer_number] == pytest.approx(differences, rel=1e-2, abs=2e-5)
        for restricted, scores in ((True, read.helpfulness.restricted), (False, read.helpfulness.full)):
            exact = helpfulness_gradients(bench, restricted=restricted)[:, layer_number]
            logs = np.log(scores)
            assert exact == pytest.approx((logs[2] - logs[0]) / (2 * step), rel=1e-2, abs=2e-5)
    read = bench.score_behavior([-step, step])
    both = (read.alignment[1] - read.alignment[0]) / (2 * step)
    assert alignment_gradients(bench).sum(axis=1) == pytest.approx(both, rel=1e-2, abs=2e-5)
    with pytest.raises(InputError, match="all positions"):
        alignment_gradients(Bench(exact_model, vector, bench.behavior, bench.helpfulness, "last"))


@pytest.mark.filterwarnings("ignore:.torch.jit.script:DeprecationWarning")
def test_slope_is_the_covariance_of_scores_with_the_jacobian_vector_product(
    exact_model: HuggingFaceLM, vector: SteeringVector
) -> None:
    """Reverse mode against forward mode and the closed form Cov(B, u), on one-token replies."""
    from seqtant.lm.hooks import edit_blocks

    bench = make_bench(exact_model, vector, prompts=1, items=2)
    item = bench.behavior[0]
    start, ends = encode_continuations(exact_model, item.prompt, [*item.good, *item.bad])
    tokens = torch.tensor([end[0] for end in ends])
    exact_model.model.set_attn_implementation("eager")

    def logits(strength: torch.Tensor) -> torch.Tensor:
        edits = {layer: (lambda s, call, d=d: s + strength * d.double()) for layer, d in vector.directions.items()}
        with edit_blocks(exact_model, edits):
            return exact_model.forward(torch.tensor([start]), keep=1).logits[0, -1, tokens]

    zero = torch.zeros((), dtype=torch.float64)
    value, slope = torch.func.jvp(logits, (zero,), (torch.ones_like(zero),))
    exact_model.model.set_attn_implementation("sdpa")
    scores = np.repeat([1.0, -1.0], [len(item.good), len(item.bad)])
    p, u = torch.softmax(value, 0).numpy(), slope.numpy()
    expected = (p * (u - p @ u)) @ scores
    assert alignment_gradients(bench).sum() == pytest.approx(float(expected), rel=1e-5)


def test_pair_gaps_give_a_guarantee_that_holds(exact_model: HuggingFaceLM, vector: SteeringVector) -> None:
    from seqtant.steering.theory import alignment_guarantee

    read = make_bench(exact_model, vector, prompts=6).score_behavior([-2.0, 0.0, 2.0])
    for row, strength in ((2, 2.0), (0, -2.0)):
        worst, mean = read.pair_gaps(strength)
        bound = alignment_guarantee(strength, worst, read.alignment[1])
        assert ((read.alignment[row] - bound) * np.sign(strength) >= -1e-9).all()
        assert (worst <= mean + 1e-12).all(), "per unit of a signed strength"


def test_scores_that_are_no_numbers_are_told(world: World, vector: SteeringVector) -> None:
    broken = make_model(world)
    broken.model.model.layers[3].mlp.down_proj.weight[0, 0] = float("nan")  # type: ignore[union-attr, index]
    name = r"model\.layers\.3\.mlp\.down_proj\.weight"
    with pytest.raises(InputError, match=rf"gives no number at strength 0: its weight '{name}' holds numbers that"):
        make_bench(broken, vector, prompts=2, items=2).score_helpfulness([0.0, 3.0])


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ('{"prompt": "a", "good": ["x"], "bad": ["x"]}', "both good and bad"),
        ('{"prompt": "a", "good": [], "bad": ["x"]}', "at least 1"),
        ('{"prompt": "a", "good": ["x"]}', "no 'bad'"),
    ],
)
def test_bad_behavior_lines(line: str, reason: str, tmp_path: Path) -> None:
    path = tmp_path / "b.jsonl"
    path.write_text(line, encoding="utf-8")
    with pytest.raises(InputError, match=reason):
        read_behavior(str(path), limit=9)


def test_a_byte_order_mark_is_no_part_of_the_first_line(tmp_path: Path) -> None:
    path = tmp_path / "b.jsonl"
    line = '{"prompt": "a", "good": ["x"], "bad": ["y"]}\n'
    path.write_text(line * 2, encoding="utf-8-sig")
    assert path.read_bytes()[:3] == b"\xef\xbb\xbf"
    assert read_behavior(str(path)) == [BehaviorPrompt("a", ("x",), ("y",))] * 2


def test_helpfulness_lines(tmp_path: Path) -> None:
    path = tmp_path / "h.jsonl"
    good = '{"prompt": "a", "options": ["x", "y"], "answer": "y"}\n{"prompt": "a", "options": ["x", "y"], "answer": 0}'
    path.write_text(good, encoding="utf-8")
    assert [item.answer for item in read_helpfulness(str(path), limit=9) if isinstance(item, Question)] == [1, 0]
    for lines, reason in (
        (good + '\n{"text": "z"}', "questions and texts are mixed"),
        (good.replace('"answer": 0', '"answer": 5'), "'answer' is 5"),
        ('{"text": "only one"}', "needs at least two"),
        ("", "is empty"),
    ):
        path.write_text(lines, encoding="utf-8")
        with pytest.raises(InputError, match=reason):
            read_helpfulness(str(path), limit=9)
    assert BehaviorPrompt("p", ("a",), ("b",)).good == ("a",)


def test_the_usable_range_follows_the_quadratic_law_after_doubling() -> None:
    @dataclass
    class Parabola:
        """Helpfulness 1 - c r^2 at any strength."""

        c: float
        hidden_norm: float = 100.0

        def score_helpfulness(self, strengths: list[float]) -> Any:
            return SimpleNamespace(full=[[1 - self.c * strength**2] for strength in strengths])

    # From 2 % of the norm: at r = 2 the loss is 0.02, at r = 4 it is 0.08, at least the share of 0.05 asked for.
    assert usable_range(Parabola(0.005), 0.05, "full") == pytest.approx((0.05 / 0.005) ** 0.5)
    # The first strength loses 16 times the share, whose root is the quarter that bounds the scaling.
    assert usable_range(Parabola(0.2), 0.04, "full") == pytest.approx(2 / 4)
    assert usable_range(Parabola(0.0), 0.05, "full") == 4 * 100.0
