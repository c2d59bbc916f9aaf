"""The word-error edit, on the cases where the published rule goes wrong."""

from __future__ import annotations

import pytest
import torch

from seqtant.ctc.lattice.paths import PathBatch
from seqtant.ctc.losses.minimum_wer import MinimumWER
from seqtant.ctc.losses.properties import check_property
from seqtant.errors import InputError

LETTERS = "^ abcdefghijklmnopqrstuvwxyz"  # ^ is the blank, then the space


def ids(text):
    return [LETTERS.index(letter) for letter in text]


def put_right(path, reference, *, rule=None, draws=1, seed=0):
    batch = PathBatch(
        torch.tensor(ids(path)).expand(1, draws, -1),
        torch.tensor([len(path)]),
        0,
        torch.tensor([ids(reference)]),
        torch.tensor([len(reference)]),
    )
    edit = (rule or MinimumWER(space=1)).edit(batch, torch.Generator().manual_seed(seed))
    return ["".join(LETTERS[label] for label in row) for row in edit.paths[0].tolist()], edit.changed[0].tolist()


def test_leading_space_does_not_shift_the_letters():
    assert put_right("^ tt^he^ ^cc^at", "the cot") == (["^ tt^he^ ^cc^ot"], [True])


def test_spaces_with_a_blank_between_are_one():
    assert put_right("tt ^ ccat", "t cot") == (["tt ^ ccot"], [True])


def test_a_replacement_that_merges_with_its_neighbor_is_refused():
    """'he^plo' to 'he^llo' would say 'helo': one word error as before."""
    assert put_right("^he^plo^", "hello") == (["^he^plo^"], [False])


@pytest.mark.parametrize(("path", "fixed"), [("^he^pplo^", "^he^l^lo^"), ("^he^pllo^", "^he^l^lo^")])
def test_a_spare_frame_becomes_the_blank_between_equal_letters(path, fixed):
    assert put_right(path, "hello") == ([fixed], [True])


@pytest.mark.parametrize(
    ("path", "reference"),
    [("cat", "cats"), ("cat", "dog"), ("cat", "cat"), ("cat", ""), ("^^^", "cat"), ("cat dog", "cat")],
)
def test_what_no_replacement_can_mend_stays(path, reference):
    assert put_right(path, reference) == ([path], [False])


def test_one_word_per_path_drawn_from_all_that_qualify():
    paths, changed = put_right("cat dig", "cot dog", draws=400)
    assert all(changed)
    assert set(paths) == {"cot dig", "cat dog"}
    assert 140 < paths.count("cot dig") < 260


def test_most_substitutions():
    rule = MinimumWER(space=1, max_substitutions=1)
    assert put_right("dig", "dog", rule=rule)[1] == [True]
    assert put_right("dig", "dot", rule=rule)[1] == [False]


def test_more_distinct_words_than_an_alphabet_holds():
    words = [LETTERS[2 + a] + LETTERS[2 + b] for a in range(26) for b in range(26) if a != b][:300]
    reference = " ".join(words)
    heard = reference[:-1] + ("z" if reference[-1] != "z" else "y")
    if heard[-1] == heard[-2]:
        heard = heard[:-1] + "x"
    assert put_right(heard, reference) == ([reference], [True])


@pytest.mark.parametrize("rule", [MinimumWER(), MinimumWER(space=2), MinimumWER(max_substitutions=1, space=3)])
def test_keeps_every_promise(rule):
    assert check_property(rule, paths=3000).require().changed > 100


def test_needs_targets():
    batch = PathBatch(torch.ones(1, 1, 3, dtype=torch.long), torch.tensor([3]), 0)
    with pytest.raises(InputError, match="give targets"):
        MinimumWER().edit(batch)


def test_settings_are_checked():
    with pytest.raises(InputError, match="max_substitutions is 0"):
        MinimumWER(max_substitutions=0)
