"""A small build that several tests look at."""

from __future__ import annotations

import pytest

from seqtant.pretraining.build.build import Build, build_folder
from tests.pretraining.samples import small_config, topical_documents, write_jsonl


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> Build:
    folder = tmp_path_factory.mktemp("build")
    corpus = write_jsonl(folder / "corpus.jsonl", topical_documents(180))
    return build_folder(small_config(corpus), folder / "out")[0]
