"""Examples, arms and builds: what is written is the corpus, and arms differ in company alone."""

from __future__ import annotations

import hashlib
import itertools
import json
import math
import os
import signal
import statistics
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from types import ModuleType

import numpy as np
import pyarrow.parquet as pq
import pytest

from seqtant.errors import InputError, MissingExtraError
from seqtant.pretraining.build.audit import audit_arm, audit_hubs
from seqtant.pretraining.build.build import Build, build_folder
from seqtant.pretraining.build.pipeline import embed_corpus
from seqtant.pretraining.build.workspace import (
    Job,
    Workspace,
    job_step,
    run_job,
    run_on_ray,
    sample_evenly,
    text_shards,
)
from seqtant.pretraining.config import BuildConfig
from seqtant.pretraining.examples.examples import running_slices, split_at_segments
from seqtant.pretraining.sections import ExampleSettings, FilterSettings, NeighborSettings, SegmentSettings
from tests.pretraining.samples import small_config, topical_documents, write_jsonl

ARMS = ("knn", "random", "split", "contiguous", "tour", "stream")
FOUR = ARMS[:4]


def columns(built: Build, arm: str) -> list[dict]:
    return pq.read_table(built.path(arm)).to_pylist()


@pytest.mark.parametrize("arm", ARMS)
def test_tokens_are_those_of_the_segments_named(built: Build, arm: str) -> None:
    segments, separator = built.segments, built.manifest["separator"]
    for row in columns(built, arm):
        assert sum(row["segment_lengths"]) == len(row["input_ids"]) <= built.window
        starts = np.cumsum([0, *row["segment_lengths"]])
        for place, (segment, document) in enumerate(zip(row["segment_ids"], row["doc_ids"], strict=True)):
            part = [t for t in row["input_ids"][starts[place] : starts[place + 1]] if t != separator]
            whole = segments.tokens[segments.offsets[segment] : segments.offsets[segment + 1]].tolist()
            assert document == segments.document[segment]
            assert bytes(part) in bytes(whole)


def test_arms_hold_equally_many_tokens_in_equally_long_examples(built: Build) -> None:
    lengths = [[len(row["input_ids"]) for row in columns(built, arm)] for arm in FOUR]
    assert lengths[0] == lengths[1] == lengths[2]
    assert sorted(lengths[3]) == sorted(lengths[0])


def foreign(built: Build, arm: str) -> list[dict]:
    return [row for row in columns(built, arm) if row["anchors"]]


def test_hubs_are_counted_as_by_hand(built: Build) -> None:
    ids, segments = built.filtered.neighbors.ids, built.segments
    served = Counter(ids[ids >= 0].tolist())
    pool = np.flatnonzero(segments.eligible & segments.first_of_hash & ~segments.held_out & ~segments.blocked)
    degrees = [served[segment] for segment in pool.tolist()]
    hubs, mean, spread = audit_hubs(built), statistics.fmean(degrees), statistics.pstdev(degrees)
    assert hubs["largest_in_degree"] == max(degrees)
    assert hubs["never_neighbor_share"] == pytest.approx(degrees.count(0) / len(degrees))
    skewness = statistics.fmean(((degree - mean) / spread) ** 3 for degree in degrees)
    assert hubs["hub_skewness"] == pytest.approx(skewness)


@pytest.mark.parametrize("arm", ["knn", "contiguous"])
def test_pairs_are_audited_as_by_hand(built: Build, arm: str) -> None:
    fresh = Build(built.folder)
    fresh.manifest["config"]["filter"]["most_similar"] = 0.9
    segments, vectors = fresh.segments, fresh.vectors.astype(float)
    rows = foreign(fresh, arm) or columns(fresh, arm)
    for counted in audit_arm(fresh, arm, distances=3).distances:
        pairs = [
            pair
            for row in rows
            for pair in zip(row["segment_ids"], row["segment_ids"][counted.distance :], strict=False)
        ]
        alike = [float(vectors[a] @ vectors[b]) for a, b in pairs]
        both = [bool(segments.eligible[a] and segments.eligible[b]) for a, b in pairs]
        twins = [
            segments.hashes[a] == segments.hashes[b] or (known and similarity > 0.9)
            for (a, b), known, similarity in zip(pairs, both, alike, strict=True)
        ]
        assert counted.pairs == len(pairs)
        assert counted.same_document == np.mean([segments.document[a] == segments.document[b] for a, b in pairs])
        assert counted.near_duplicate == np.mean(twins)
        assert 0 < np.mean(twins) < 1
        assert counted.similarity == pytest.approx(np.mean(np.array(alike)[both]), abs=1e-5)


def test_groups_fill_their_share_of_the_budget_up_to_one_group(built: Build) -> None:
    segments = built.segments
    kept = ~segments.held_out
    budget = int(segments.lengths[kept].sum()) + len(np.unique(segments.document[kept]))
    tokens = sum(len(row["input_ids"]) for row in foreign(built, "knn"))
    assert 0.5 * budget - built.window < tokens <= 0.5 * budget


def test_held_out_segments_take_no_neighbors_from_the_training_text(built: Build) -> None:
    """The cap of 10 holds over the training segments alone: the held-out ones come on top."""
    ids, segments = built.filtered.neighbors.ids, built.segments
    pool = int((segments.eligible & segments.first_of_hash & ~segments.held_out & ~segments.blocked).sum())
    training, held_out = ids[:pool], ids[pool:]
    assert np.bincount(training[training >= 0]).max() == 10
    assert np.bincount(held_out[held_out >= 0]).max() > 10


def test_split_holds_the_same_segments_as_knn(built: Build) -> None:
    together, apart = (
        sorted(segment for row in foreign(built, arm) for segment in row["segment_ids"]) for arm in ("knn", "split")
    )
    assert together == apart


def group_pairs(built: Build, arm: str) -> set[tuple[int, int]]:
    """Anchor and each of its company."""
    pairs = set()
    for row in foreign(built, arm):
        start = 0
        for anchor in row["anchors"]:
            pairs |= {(row["segment_ids"][anchor], other) for other in row["segment_ids"][start:anchor]}
            start = anchor + 1
    return pairs


def test_company_is_related_in_knn_and_apart_in_the_controls(built: Build) -> None:
    document = built.segments.document
    topic = document % 3
    pairs = {arm: np.array(sorted(group_pairs(built, arm))) for arm in ("knn", "random", "split")}
    own = {arm: (document[each[:, 0]] == document[each[:, 1]]).mean() for arm, each in pairs.items()}
    assert own["knn"] == 0
    assert max(own.values()) < 0.05  # lengths of which there is one segment only have no other to change with
    same_topic = {arm: (topic[each[:, 0]] == topic[each[:, 1]]).mean() for arm, each in pairs.items()}
    assert same_topic["knn"] > 0.95
    assert same_topic["random"] < 0.6
    kept = group_pairs(built, "knn") & group_pairs(built, "split")
    assert len(kept) <= 0.1 * len(pairs["knn"])


def test_anchor_comes_after_its_neighbors(built: Build) -> None:
    for row in foreign(built, "knn"):
        assert row["anchors"][0] > 0
        assert row["anchors"][-1] == len(row["segment_ids"]) - 1


def test_shards_keep_every_document_and_samples_are_spread_evenly() -> None:
    texts = [str(number) for number in range(7)]
    shards = list(text_shards(iter(texts), 3))
    assert [shard for _, shard in shards] == [texts[:3], texts[3:6], texts[6:]]
    assert len({digest for digest, _ in shards}) == 3
    assert next(text_shards(["ab", "c"], 2))[0] != next(text_shards(["a", "bc"], 2))[0]
    assert sample_evenly(iter(texts), 7, 3) == ["0", "2", "4"]
    assert sample_evenly(iter(texts), 7, 7) == texts


def test_held_out_documents_are_in_no_arm(built: Build) -> None:
    held = set(np.flatnonzero(np.arange(180) % 6 == 5).tolist())
    for arm in ARMS:
        assert not held & {document for row in columns(built, arm) for document in row["doc_ids"]}
    evaluated = columns(built, "evaluation")
    assert evaluated
    for row in evaluated:
        assert row["doc_ids"][-1] in held
        assert not held & set(row["doc_ids"][:-1])


def test_contiguous_is_running_text(built: Build) -> None:
    segments = built.segments
    for row in columns(built, "contiguous"):
        for left, right, a, b in zip(
            row["segment_ids"], row["segment_ids"][1:], row["doc_ids"], row["doc_ids"][1:], strict=False
        ):
            assert right == left + 1 if a == b else segments.document[right - 1] != b


def test_running_slices_cover_the_documents_exactly_once(built: Build) -> None:
    segments = built.segments
    documents = np.arange(len(segments.document_bounds) - 1)
    total = len(segments.tokens) + len(documents)
    made = running_slices(segments, documents, np.full(total // 7, 7))
    taken = np.concatenate([np.arange(a, b) for a, b in zip(made.start, made.stop, strict=True)])
    assert (made.lengths == 7).all()
    assert taken.tolist() == list(range(len(taken)))
    assert int(made.separated.sum()) + len(taken) == 7 * (total // 7)
    parts = split_at_segments(made, segments)
    assert np.bincount(parts.example, weights=parts.length).tolist() == made.lengths.tolist()


def test_tour_packs_whole_documents_that_fit(tmp_path: Path) -> None:
    corpus = write_jsonl(tmp_path / "short.jsonl", topical_documents(30, sentences=2))
    made = build_folder(small_config(corpus, examples=ExampleSettings(arms=("tour",), window=256)), tmp_path / "out")[0]
    seen = [document for row in columns(made, "tour") for document in set(row["doc_ids"])]
    assert sorted(seen) == [n for n in range(30) if n % 6 != 5]


def digest(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name not in ("result.json", "report.html")
    }


def test_same_seed_same_bytes_and_another_seed_others(tmp_path: Path) -> None:
    corpus = write_jsonl(tmp_path / "corpus.jsonl", topical_documents(24))
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        build_folder(small_config(corpus), tmp_path / name, seed=seed)
    assert digest(tmp_path / "a") == digest(tmp_path / "b") != digest(tmp_path / "c")


@pytest.mark.slow
def test_two_workers_make_the_same_bytes(tmp_path: Path) -> None:
    corpus = write_jsonl(tmp_path / "corpus.jsonl", topical_documents(24))
    build_folder(small_config(corpus), tmp_path / "one")
    build_folder(small_config(corpus, workers=2), tmp_path / "two")
    assert digest(tmp_path / "one") == digest(tmp_path / "two")


KILLED = """
import sys
from pathlib import Path
from tests.pretraining.samples import small_config
from seqtant.pretraining.build.build import build_folder
build_folder(small_config(Path(sys.argv[1])), Path(sys.argv[2]))
"""


@pytest.mark.slow
@pytest.mark.parametrize("moment", range(4))
def test_killed_and_resumed_is_byte_identical(tmp_path: Path, moment: int) -> None:
    corpus = write_jsonl(tmp_path / "corpus.jsonl", topical_documents(150))
    build_folder(small_config(corpus), tmp_path / "whole")
    wanted = len(digest(tmp_path / "whole"))
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])}
    command = [sys.executable, "-c", KILLED, str(corpus), str(tmp_path / "killed")]
    process = subprocess.Popen(command, env=environment)
    generator = np.random.default_rng(moment)
    stop_after = int(generator.integers(1, wanted - 1))
    while process.poll() is None and sum(len(files) for _, _, files in os.walk(tmp_path / "killed")) < stop_after:
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    process.wait()
    build_folder(small_config(corpus), tmp_path / "killed")
    assert digest(tmp_path / "killed") == digest(tmp_path / "whole")


def test_what_a_killed_process_left_half_written_is_removed(tmp_path: Path) -> None:
    corpus = write_jsonl(tmp_path / "corpus.jsonl", topical_documents(24))
    build_folder(small_config(corpus), tmp_path / "out")
    before = digest(tmp_path / "out")
    left = tmp_path / "out" / "stages" / "segments" / f".0123.parquet.{2**22 + 1}.partial"
    left.mkdir()
    (left / "0123.parquet").write_bytes(b"half")
    (tmp_path / "out" / "manifest.json").unlink()
    next((tmp_path / "out" / "stages" / "vectors").iterdir()).unlink()
    build_folder(small_config(corpus), tmp_path / "out")
    assert digest(tmp_path / "out") == before


def test_changed_inputs_under_an_old_manifest_are_refused(tmp_path: Path) -> None:
    corpus = write_jsonl(tmp_path / "corpus.jsonl", topical_documents(24))
    build_folder(small_config(corpus), tmp_path / "out")
    write_jsonl(corpus, topical_documents(25))
    with pytest.raises(InputError, match=r"was written for another '.*corpus.jsonl'"):
        build_folder(small_config(corpus), tmp_path / "out")


def test_other_settings_reuse_what_is_the_same(tmp_path: Path) -> None:
    corpus = write_jsonl(tmp_path / "corpus.jsonl", topical_documents(24))
    build_folder(small_config(corpus), tmp_path / "out")
    stages = tmp_path / "out" / "stages"
    build_folder(small_config(corpus, filter=FilterSettings(k=2, most_similar=0.999)), tmp_path / "out")
    counts = {
        stage: len(list((stages / stage).iterdir())) for stage in ("segments", "vectors", "neighbors", "filtered")
    }
    assert counts == {"segments": 3, "vectors": 3, "neighbors": 1, "filtered": 2}


@pytest.mark.parametrize(
    "documents",
    [
        ["The only document there is."],
        ["The same sentence again. " * 4] * 30,
        ["他走了很远的路。她也来了这里！真的吗？" * 3] * 6 + ["これは別の文章です。それは本です。" * 4] * 6,
        ["word " * 4000],
        ["a. b. c.", "\n\n\n", " "],
        ["... !!! ??? --- ... ===", "!!! --- ... ??? *** +++"],
    ],
    ids=["one document", "duplicates", "other scripts", "longer than any window", "almost empty", "no words"],
)
def test_odd_corpora_are_handled(tmp_path: Path, documents: list[str]) -> None:
    corpus = write_jsonl(tmp_path / "corpus.jsonl", documents)
    config = small_config(corpus, segment=SegmentSettings(tokenizer="bytes", longest=400))
    made, counts = build_folder(config, tmp_path / "out")
    for arm in made.arms:
        audit = audit_arm(made, arm)
        assert audit.fill <= 1
        assert audit.tokens == sum(len(tokens) for tokens in made.tokens(arm))
    assert 0 <= counts.anchors_without_neighbors <= len(made.segments)
    hubs = audit_hubs(made)
    assert hubs["largest_in_degree"] <= config.filter.hub_cap
    assert math.isfinite(hubs["hub_skewness"])


def test_segments_without_a_known_word_are_nobodys_neighbor(tmp_path: Path) -> None:
    corpus = write_jsonl(tmp_path / "corpus.jsonl", ["... !!! ??? --- ... ===", "!!! --- ... ??? *** +++"])
    made, counts = build_folder(small_config(corpus), tmp_path / "out")
    assert made.segments.eligible.any()
    assert made.filtered.neighbors.ids.size == len(made.recall) == counts.anchors_without_neighbors == 0


def test_blocked_segments_have_no_part_in_any_group(tmp_path: Path) -> None:
    documents = topical_documents(24)
    corpus = write_jsonl(tmp_path / "corpus.jsonl", documents)
    test_set = write_jsonl(tmp_path / "test.jsonl", [documents[1], documents[2]])
    settings = SegmentSettings(tokenizer="bytes", longest=200, blocklist=(str(test_set),), blocked_words=5)
    made = build_folder(small_config(corpus, segment=settings), tmp_path / "out")[0]
    blocked = np.flatnonzero(made.segments.blocked)
    assert set(np.flatnonzero(np.isin(made.segments.document, [1, 2]))) <= set(blocked.tolist())
    used = {segment for row in foreign(made, "knn") for segment in row["segment_ids"]}
    assert used
    assert not used & set(blocked.tolist())
    parts = [segment for row in columns(made, "contiguous") for segment in row["segment_ids"]]
    assert audit_arm(made, "contiguous").blocked_segments == pytest.approx(np.isin(parts, blocked).mean())
    assert set(parts) & set(blocked.tolist())


def test_passages_carry_the_neighbors_of_their_sentences(tmp_path: Path) -> None:
    corpus = write_jsonl(tmp_path / "corpus.jsonl", topical_documents(36))
    examples = ExampleSettings(arms=("knn", "split"), window=512, unit="passage")
    made = build_folder(small_config(corpus, examples=examples), tmp_path / "out")[0]
    rows = foreign(made, "knn")
    assert any(len(row["anchors"]) > 1 for row in rows)
    topics = [{document % 3 for document in row["doc_ids"]} for row in rows if len(row["anchors"]) > 1]
    assert np.mean([len(topic) == 1 for topic in topics]) > 0.6


@pytest.mark.parametrize("index", ["ivf", "pq"])
def test_lists_build_too(tmp_path: Path, index: str) -> None:
    corpus = write_jsonl(tmp_path / "corpus.jsonl", topical_documents(60))
    settings = NeighborSettings(index=index, candidates=24)  # type: ignore[arg-type]
    made = build_folder(small_config(corpus, neighbors=settings), tmp_path / "out")[0]
    assert made.recall.mean() > 0.8


def test_the_learned_tokenizer_gives_the_text_back(tmp_path: Path) -> None:
    from transformers import PreTrainedTokenizerFast

    documents = topical_documents(24)
    corpus = write_jsonl(tmp_path / "corpus.jsonl", documents)
    settings = SegmentSettings(vocabulary=320, shard_documents=10)
    made = build_folder(small_config(corpus, segment=settings), tmp_path / "out")[0]
    tokenizer = PreTrainedTokenizerFast(tokenizer_file=str(made.folder / made.manifest["tokenizer"]))
    bounds = made.segments.offsets[made.segments.document_bounds]
    texts = [tokenizer.decode(made.segments.tokens[a:b]) for a, b in itertools.pairwise(bounds)]
    assert texts == documents


def test_folders_that_hold_no_build_are_refused(tmp_path: Path, built: Build) -> None:
    with pytest.raises(InputError, match=r"holds no manifest.json"):
        _ = Build(tmp_path).manifest
    (tmp_path / "manifest.json").write_text(json.dumps({"other": 1}))
    with pytest.raises(InputError, match="not a build's manifest"):
        _ = Build(tmp_path).manifest
    with pytest.raises(InputError, match=r"no arm 'kn' \(did you mean 'knn'\?\)"):
        built.path("kn")


def test_default_corpus_is_the_world_that_ships(tmp_path: Path) -> None:
    made = build_folder(BuildConfig.smoke(), tmp_path)[0]
    assert list(made.manifest["inputs"]) == ["reference"]


def test_jobs_can_be_done_in_any_order_by_anybody(tmp_path: Path) -> None:
    """What a cluster does: shards in another order, some twice, the rest of the build afterwards."""
    corpus = write_jsonl(tmp_path / "corpus.jsonl", topical_documents(24))
    config = small_config(corpus)
    build_folder(config, tmp_path / "here")
    stages: list[str] = []

    def execute(stage: str, jobs: Sequence[Job]) -> None:
        stages.append(stage)
        for job in [*reversed(jobs), jobs[0]]:
            run_job(job)

    embed_corpus(config.corpus, config.segment, config.embed, Workspace(tmp_path / "there"), execute)
    assert stages == ["segments", "vectors"]
    build_folder(config, tmp_path / "there")
    assert digest(tmp_path / "here") == digest(tmp_path / "there")


def test_a_datatrove_step_runs_the_jobs_of_its_rank(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    class PipelineStep:
        def track_time(self) -> nullcontext[None]:
            return nullcontext()

        def stat_update(self, name: str) -> None:
            assert name == "jobs"

    class Touch:
        def __init__(self, path: Path) -> None:
            self.path = path

        def make(self, path: Path) -> None:
            path.write_text("")

    base = ModuleType("datatrove.pipeline.base")
    base.PipelineStep = PipelineStep  # type: ignore[attr-defined]
    for module in (ModuleType("datatrove"), ModuleType("datatrove.pipeline"), base):
        monkeypatch.setitem(sys.modules, module.__name__, module)
    step = job_step([Touch(tmp_path / str(number)) for number in range(5)])  # type: ignore[misc]
    assert list(step.run(["document"], rank=1, world_size=2)) == ["document"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["1", "3"]


def test_without_the_cluster_libraries_one_line_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "datatrove", None)
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'seqtant\[scale\]'"):
        job_step([])
    with pytest.raises(MissingExtraError, match=r"pip install 'seqtant\[scale\]'"):
        run_on_ray([], concurrency=1)
