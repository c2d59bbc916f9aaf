"""The model that ships: its files, its manifest, and that it learned its world."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest

from seqtant.lm.generation import generate
from seqtant.lm.huggingface import HuggingFaceLM
from seqtant.lm.loading import load
from seqtant.reference.config import CheckConfig, TrainConfig
from seqtant.reference.instruments import check as requirements
from seqtant.reference.instruments.check import check_model
from seqtant.reference.measures import answer, follow, gaps, solve, track_tone
from seqtant.reference.prompts import Prompts
from seqtant.reference.recipe import data_hash, file_hashes, read_manifest, training_batches
from seqtant.reference.world.world import World, WorldSettings
from seqtant.runs.recorder import Context
from seqtant.settings import build

FOLDER = Path(str(files("seqtant.reference"))) / "weights"


@pytest.fixture(scope="module")
def model() -> HuggingFaceLM:
    return load("reference", device="cpu")


@pytest.fixture(scope="module")
def prompts() -> Prompts:
    return Prompts()


def test_it_is_as_small_as_promised(model: HuggingFaceLM):
    assert sum(parameter.numel() for parameter in model.model.parameters()) <= 2_000_000
    assert sum(path.stat().st_size for path in FOLDER.iterdir()) <= 8_000_000


def test_the_manifest_describes_these_files():
    assert read_manifest()["files_sha256"] == file_hashes(FOLDER)


def test_the_manifest_describes_this_world_and_this_data(world: World):
    """Whoever changes the world or the batches must train anew."""
    manifest = read_manifest()
    settings = WorldSettings()
    config = build(TrainConfig, manifest["config"])
    assert manifest["world_sha256_16"] == settings.hash
    batches = training_batches(config, world, settings, manifest["seed"])
    assert manifest["data_sha256_16"] == data_hash(batches, manifest["steps"])
    assert manifest["command"].startswith("seqtant reference train")


def test_the_manifest_meets_every_requirement():
    findings = {finding["key"]: finding for finding in read_manifest()["check"]["findings"]}
    assert len(findings) == 9
    assert [key for key, finding in findings.items() if finding["verdict"] != "agrees"] == []
    assert findings["cross_entropy_gap"]["measured"]["high"] <= requirements.LARGEST_GAP == 0.05
    assert findings["fact_recall"]["measured"]["value"] >= requirements.LEAST_RECALL == 0.95


def test_it_speaks_the_worlds_words(model: HuggingFaceLM, world: World):
    requirements.same_words(model, world)
    assert model.tokenizer is not None
    assert model.tokenizer.decode(model.tokenizer("Tom likes apples.").input_ids) == "<bos> tom likes apples ."
    assert model.tokenizer.get_vocab() == world.vocabulary.ids
    assert (model.bos_id, model.eos_id, model.pad_id) == (1, 2, 0)


def test_it_is_near_the_entropy_rate(model: HuggingFaceLM, world: World):
    gap = gaps(model, world, documents=120, longest=256, generator=np.random.default_rng(100))
    assert gap["all"].divergence.value <= requirements.LARGEST_GAP


def test_it_recalls_the_facts(model: HuggingFaceLM, prompts: Prompts):
    for opening in ("book :", "talk :"):
        found = answer(model, prompts.world, prompts.facts(opening))
        assert found.accuracy.value >= requirements.LEAST_RECALL
        assert found.probability == pytest.approx(found.exact_probability, abs=0.03)


def test_it_learns_tasks_in_context(model: HuggingFaceLM, prompts: Prompts):
    rng = np.random.default_rng(101)
    names = [task.name for task in prompts.settings.game.tasks]
    few, many = (
        answer(model, prompts.world, [prompts.shots(name, shots, rng) for name in names for _ in range(12)])
        for shots in (0, 12)
    )
    assert many.accuracy.value >= many.exact_accuracy.value - 0.08
    assert many.accuracy.value > few.accuracy.value + 0.3


def test_it_infers_the_persona(model: HuggingFaceLM, prompts: Prompts):
    rng = np.random.default_rng(102)
    curve = follow(model, prompts, ("gloomy",), talks=25, sentences=12, generator=rng)
    assert curve.to_personas[0].value > 0.5 > curve.to_personas[-1].value
    assert max(estimate.value for estimate in curve.to_world) < requirements.SENTENCE_ERROR
    tracking = track_tone(model, prompts, talks=5, lengths=(0, 2, 6), generator=rng)
    assert requirements.SLOPE[0] < tracking.slope.value < requirements.SLOPE[1]
    assert tracking.correlation > requirements.CORRELATION


def test_it_needs_steps_for_long_problems(model: HuggingFaceLM, prompts: Prompts):
    solved = solve(model, prompts.world, prompts.problems(8, 30, np.random.default_rng(103)))
    assert solved.step_by_step.value >= 0.9
    assert solved.at_once.value <= requirements.MOST_GUESSED


def test_what_it_says_is_mostly_possible(model: HuggingFaceLM, world: World):
    """Free speech from nothing but the first token: nearly all of it could have been said in the world."""
    import torch

    made = generate(model, [[1]] * 40, max_tokens=60, generator=torch.Generator().manual_seed(1), stop_ids=[2])
    possible = [np.isfinite(world.log_prob([1, *line.tokens])) for line in made]
    assert np.mean(possible) >= 0.7


@pytest.mark.slow
def test_it_meets_every_requirement_measured_anew():
    result = check_model.run(CheckConfig(), Context(seed=7, device="cpu"))
    assert [finding.key for finding in result.findings if finding.verdict == "disagrees"] == []
