"""Every kind of source gives the same documents, and every fault is one line."""

from __future__ import annotations

from pathlib import Path

import datasets
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from seqtant.errors import InputError
from seqtant.pretraining.corpus.readers import open_corpus
from tests.pretraining.samples import topical_documents, write_jsonl


def test_kinds_of_sources_agree(tmp_path: Path) -> None:
    documents = topical_documents(5)
    write_jsonl(tmp_path / "a.jsonl", documents)
    pq.write_table(pa.table({"text": documents}), tmp_path / "b.parquet")
    (tmp_path / "c.txt").write_text("\n\n".join(documents))
    datasets.Dataset.from_dict({"text": documents}).save_to_disk(tmp_path / "saved", max_shard_size="1MB")
    folder = tmp_path / "folder"
    folder.mkdir()
    for number, text in enumerate(documents):
        (folder / f"{number}.txt").write_text(text)
    for name in ("a.jsonl", "b.parquet", "c.txt", "saved", "folder"):
        assert [text.strip() for text in open_corpus([str(tmp_path / name)])] == documents, name


def test_articles_begin_at_their_titles(tmp_path: Path) -> None:
    path = tmp_path / "wiki.txt"
    path.write_text(" \n = One = \n \n First . \n \n = = Part = = \n \n More . \n \n = Two = \n \n Second . \n")
    documents = list(open_corpus([str(path)]))
    assert len(documents) == 2
    assert "More" in documents[0]
    assert documents[1].split() == ["=", "Two", "=", "Second", "."]


def test_fingerprints_tell_contents_apart(tmp_path: Path) -> None:
    one = write_jsonl(tmp_path / "one.jsonl", ["a b c"])
    before = open_corpus([str(one)]).fingerprints
    write_jsonl(one, ["a b d"])
    assert open_corpus([str(one)]).fingerprints != before


def empty_file(path: Path) -> str:
    (path / "empty.txt").write_text("")
    return str(path / "empty.txt")


def bad_parquet(path: Path) -> str:
    (path / "bad.parquet").write_text("no parquet")
    return str(path / "bad.parquet")


def no_column(path: Path) -> str:
    pq.write_table(pa.table({"texts": ["a"]}), path / "c.parquet")
    return str(path / "c.parquet")


def null_text(path: Path) -> str:
    pq.write_table(pa.table({"text": ["a", None]}), path / "n.parquet")
    return str(path / "n.parquet")


def wrong_kind(path: Path) -> str:
    (path / "x.csv").write_text("a,b")
    return str(path / "x.csv")


def empty_folder(path: Path) -> str:
    (path / "nothing").mkdir()
    return str(path / "nothing")


def latin1(path: Path) -> str:
    (path / "l.txt").write_bytes("für".encode("latin-1"))
    return str(path / "l.txt")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda path: str(path / "none.txt"), "no corpus"),
        (empty_file, "is empty"),
        (bad_parquet, "not a Parquet file"),
        (no_column, r"no column 'text' \(did you mean 'texts'\?\)"),
        (null_text, "'text' is None"),
        (wrong_kind, "of no known kind"),
        (empty_folder, "holds no .txt"),
        (latin1, "not UTF-8"),
    ],
)
def test_faults_are_told_in_one_line(tmp_path: Path, make, message: str) -> None:
    with pytest.raises(InputError, match=message) as caught:
        list(open_corpus([make(tmp_path)]))
    assert "\n" not in str(caught.value)


def test_a_source_named_twice_is_refused(tmp_path: Path) -> None:
    path = str(write_jsonl(tmp_path / "a.jsonl", ["a"]))
    with pytest.raises(InputError, match="named twice"):
        open_corpus([path, path])
