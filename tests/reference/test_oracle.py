"""The world as a language model: padding, caches, impossible tokens; its tokenizer; packed batches."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from seqtant.errors import InputError
from seqtant.lm.generation import generate
from seqtant.lm.scoring import sequence_log_probs
from seqtant.reference.config import ShapeConfig, StageConfig
from seqtant.reference.oracle import WorldLM, build_tokenizer
from seqtant.reference.recipe import WorldBatches, build_network, packed, packed_loss, save_model
from seqtant.reference.world.documents import PADDING
from seqtant.reference.world.world import World


@pytest.fixture(scope="module")
def oracle(world: World) -> WorldLM:
    return WorldLM(world)


def test_scores_are_the_worlds(oracle: WorldLM, world: World, generator: np.random.Generator):
    documents = [document.tokens for document in world.draw(12, generator, longest=60)]
    scores = sequence_log_probs(oracle, [tokens.tolist() for tokens in documents])
    np.testing.assert_allclose(scores.numpy(), [world.log_prob(tokens) for tokens in documents], atol=1e-9)


def test_cached_is_uncached_and_padded_is_single(oracle: WorldLM, world: World):
    long, short = world.encode("talk : the lamp is dull . how are"), world.encode("book : tom")
    whole = oracle.forward(torch.tensor([long])).logits
    first = oracle.forward(torch.tensor([long[:4]]), use_cache=True)
    second = oracle.forward(torch.tensor([long[4:]]), cache=first.cache)
    torch.testing.assert_close(torch.cat([first.logits, second.logits], dim=1), whole)
    missing = len(long) - len(short)
    rows = torch.tensor([long, [0] * missing + short])
    mask = torch.tensor([[1] * len(long), [0] * missing + [1] * len(short)])
    both = oracle.forward(rows, mask, keep=1).logits
    torch.testing.assert_close(both[0, 0], whole[0, -1])
    torch.testing.assert_close(both[1], oracle.forward(torch.tensor([short]), keep=1).logits[0])


def test_a_cache_is_a_value(oracle: WorldLM, world: World):
    start = oracle.forward(torch.tensor([world.encode("talk : the")]), use_cache=True)
    chosen = oracle.select_rows(start.cache, torch.tensor([0, 0]))
    lamp, hill = world.vocabulary.id("lamp"), world.vocabulary.id("hill")
    once = oracle.forward(torch.tensor([[lamp], [hill]]), cache=chosen).logits
    again = oracle.forward(torch.tensor([[lamp], [hill]]), cache=chosen).logits
    torch.testing.assert_close(once, again)


def test_an_impossible_token_leaves_the_state(oracle: WorldLM, world: World):
    the = world.vocabulary.id("the")
    prompt = world.encode("talk : the lamp")
    odd = oracle.forward(torch.tensor([[*prompt, the]])).logits[0]
    assert odd[-2, the] == -np.inf
    torch.testing.assert_close(odd[-1], odd[-2])


def test_generation_from_the_oracle_is_possible_in_the_world(oracle: WorldLM, world: World):
    made = generate(oracle, [[1]] * 8, max_tokens=40, generator=torch.Generator().manual_seed(0), stop_ids=[2])
    assert all(np.isfinite(world.log_prob([1, *line.tokens])) for line in made)


def test_tokenizer_round_trip(world: World, generator: np.random.Generator):
    tokenizer = build_tokenizer(world.vocabulary, context_length=256)
    for document in world.draw(20, generator, longest=100):
        words = [token for token in document.tokens.tolist() if token > 3]
        text = tokenizer.decode(document.tokens.tolist(), skip_special_tokens=True)
        assert tokenizer(text).input_ids == [1, *words]
    assert tokenizer("Where does Tom live?").input_ids == world.encode("where does tom live ?")
    assert tokenizer("xyzzy").input_ids == [1, 3]
    padded = tokenizer(["tom", "tom likes soup ."], padding=True)
    assert padded.input_ids[0][:3] == [0, 0, 0]
    assert (tokenizer.bos_token_id, tokenizer.eos_token_id, tokenizer.pad_token_id) == (1, 2, 0)


def test_saved_model_loads_with_plain_transformers(world: World, tmp_path):
    from transformers import AutoModelForCausalLM, AutoTokenizer

    shape = ShapeConfig(hidden_size=16, layers=1, heads=2, intermediate_size=24, context_length=64)
    network = build_network(shape, world.vocabulary.size, seed=3)
    save_model(network, tmp_path)
    loaded, tokenizer = AutoModelForCausalLM.from_pretrained(tmp_path), AutoTokenizer.from_pretrained(tmp_path)
    ids = tokenizer("talk : how are you ?", return_tensors="pt").input_ids
    torch.testing.assert_close(loaded(ids).logits, network(ids).logits)
    assert tokenizer.padding_side == "left"
    assert (tmp_path / "model.safetensors").stat().st_mode & 0o044 == 0o044


def test_the_network_depends_on_its_seed_alone(world: World):
    shape = ShapeConfig(hidden_size=16, layers=1, heads=2, intermediate_size=24)
    torch.manual_seed(0)
    first = build_network(shape, 20, seed=3).state_dict()
    before = torch.random.get_rng_state()
    second = build_network(shape, 20, seed=3).state_dict()
    assert torch.equal(before, torch.random.get_rng_state())
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_packed_loss_is_that_of_the_documents_alone(world: World, generator: np.random.Generator):
    """No document sees another: the packed sum equals the sum over documents scored one by one."""
    network = build_network(ShapeConfig(hidden_size=16, layers=2, heads=2, intermediate_size=24), 200, seed=3).eval()
    batch = packed(world.draw(12, generator, longest=48), 4, 48)
    with torch.no_grad():
        together = packed_loss(network, batch)
        total = count = 0
        for ids, segments in zip(batch["input_ids"], batch["segments"], strict=True):
            for number in range(1, int(segments.max()) + 1):
                alone = ids[segments == number]
                if len(alone) > 1:
                    scores = network(alone[None]).logits[0, :-1].log_softmax(-1)
                    total -= float(scores.gather(1, alone[1:, None]).sum())
                    count += len(alone) - 1
    assert float(together.total) == pytest.approx(total, rel=1e-5)
    assert int(together.count) == count


def test_batches_are_addressed_by_step(world: World):
    stages = (StageConfig(share=1, length=32, weights=dict.fromkeys(world.kinds, 0.2)), StageConfig(share=3, length=64))
    source = WorldBatches(world, tokens=256, stages=stages, steps=8, seed=(5, 0))
    again = WorldBatches(world, tokens=256, stages=stages, steps=8, seed=(5, 0))
    other = WorldBatches(world, tokens=256, stages=stages, steps=8, seed=(6, 0))
    assert torch.equal(source.batch(3)["input_ids"], again.batch(3)["input_ids"])
    assert not torch.equal(source.batch(3)["input_ids"], other.batch(3)["input_ids"])
    assert [tuple(source.batch(step)["input_ids"].shape) for step in (1, 2)] == [(8, 32), (4, 64)]
    assert (source.batch(7)["segments"] > 0).all()


def test_eased_stages_draw_every_persona_alike(world: World):
    stages = (StageConfig(share=1, length=64, eased=("talk",)), StageConfig(share=1, length=64))
    source = WorldBatches(world, tokens=256, stages=stages, steps=2, seed=(5,))
    first, last = (stage.kinds["talk"].prior for stage in source._worlds)
    np.testing.assert_allclose(first, 0.25)
    np.testing.assert_allclose(last, world.kinds["talk"].prior)
    assert source._worlds[0].kinds["game"] is world.kinds["game"]


def test_eased_sums_draw_small_digits_often_and_still_add_up(world: World):
    kind = world.kinds["sums"]
    items = kind.eased().draw_items(np.zeros(2000, int), np.ones(2000, int), np.random.default_rng(3))
    shares = np.bincount([list(kind.digits).index(token) for token in items[:, 2]], minlength=10) / len(items)
    np.testing.assert_allclose(shares, (19 - 2 * np.arange(10)) / 100, atol=0.035)
    for row in items[:50]:
        assert world.log_prob([*world.encode("sums :"), *(int(token) for token in row if token != PADDING)]) > -np.inf


def test_batches_refuse_rows_that_do_not_fit(world: World):
    with pytest.raises(InputError, match="no rows of 48"):
        WorldBatches(world, tokens=256, stages=(StageConfig(share=1, length=48),), steps=8, seed=(5,))
