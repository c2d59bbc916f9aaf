"""Files appear whole or not at all, and a place that cannot be written is told in one line."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from seqtant.errors import InputError
from seqtant.runs.files import make_folder, whole_file, write_text


def test_a_file_is_written_with_its_folders(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b.txt"
    write_text(path, "höhe")
    write_text(path, "new")
    assert path.read_text(encoding="utf-8") == "new"
    assert list(path.parent.iterdir()) == [path]


def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    def write_half(path: Path) -> None:
        with whole_file(path) as temporary:
            temporary.write_text("half of the ne")
            raise ZeroDivisionError

    path = tmp_path / "a.txt"
    write_text(path, "old")
    with pytest.raises(ZeroDivisionError):
        write_half(path)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_places_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "folder").mkdir()
    with pytest.raises(InputError, match="cannot make the folder"):
        write_text(tmp_path / "file" / "a.txt", "")
    with pytest.raises(InputError, match=r"cannot write '.*folder': Is a directory"):
        write_text(tmp_path / "folder", "")
    assert list((tmp_path / "folder").iterdir()) == []


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser may write everywhere")
def test_a_folder_without_permission(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with pytest.raises(InputError, match="cannot write into the folder"):
        make_folder(tmp_path)


def test_errors_of_the_writer_are_not_taken_for_errors_of_the_place(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), whole_file(tmp_path / "a.txt"):
        (tmp_path / "gone").read_text()
