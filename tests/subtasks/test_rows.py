"""A user's rows: read, checked, augmented, solved; every kind of fault is found and sound rows raise none."""

from __future__ import annotations

import copy
import json

import numpy as np
import pytest

from seqtant import subtasks
from seqtant.errors import InputError
from seqtant.subtasks.rows.layout import arm_layouts, lay_out, load_tokenizer, read_answer, read_steps, training_rows
from seqtant.subtasks.rows.problem_rows import arithmetic_rows, load_rows, parse_row, read_rows, write_rows
from seqtant.subtasks.rows.validation import KINDS, check_rows, wrong_equations
from seqtant.subtasks.training.decoding import score_texts

GOOD = {
    "input": "2 + 3 + 4",
    "steps": [{"text": "2 + 3 = 5", "value": 5, "reads": [0]}, {"text": "5 + 4 = 9", "value": 9, "reads": [0, 1]}],
    "answer": 9,
}


def rows_of(*records):
    return [parse_row(record, f"line {number}") for number, record in enumerate(records, start=1)]


def kinds_of(*records, **arguments):
    found = check_rows({"train": rows_of(*records)}, max_arity=arguments.pop("max_arity", 2), **arguments)
    return {violation.kind for violation in found}


def changed(**changes):
    record = copy.deepcopy(GOOD)
    for key, value in changes.items():
        if key in ("input", "answer", "steps"):
            record[key] = value
        else:
            record["steps"][-1][key] = value
    return record


def test_sound_rows_raise_nothing():
    assert kinds_of(GOOD) == set()
    rows = arithmetic_rows(200, np.random.default_rng(0))
    assert check_rows({"train": rows}, max_arity=2) == []


@pytest.mark.parametrize(
    ("record", "kind"),
    [
        (changed(text="5 + 4 = 8", value=9), "not_recomputable"),
        (changed(text="so <<5*4=21>>21", value=9), "not_recomputable"),
        (changed(reads=[0, 2]), "reads_later"),
        (changed(reads=[-1]), "reads_later"),
        (changed(answer=8), "answer_differs"),
        (changed(steps=[]), "no_steps"),
        (changed(text="5 + 4\n= 9"), "broken_text"),
        (changed(text="5 + 4 \u2248 9"), "broken_text"),
        (changed(input="2 + 3 + 4, where 5 + 4 = 9"), "answer_leak"),
        (changed(input="2 + 3 + 4 answer: 9"), "answer_leak"),
    ],
)
def test_every_fault_of_a_row_is_found(record, kind):
    assert kind in kinds_of(record)
    assert kind in KINDS


def test_arity_counts_different_reads():
    wide = {"input": [1, 2, 3], "steps": [{"value": 6, "reads": [0, 1, 2]}], "answer": 6}
    assert kinds_of(wide) == {"arity"}
    assert kinds_of(wide, max_arity=3) == set()


def test_faults_across_rows_are_found():
    assert kinds_of(GOOD, GOOD) == {"duplicate"}
    two = rows_of(GOOD, GOOD)
    overlap = check_rows({"train": two[:1], "test": two[1:]}, max_arity=2)
    assert [violation.kind for violation in overlap] == ["split_overlap"]
    same = {"input": [1, 2], "steps": [{"value": 3, "reads": [0, 1]}], "answer": 3}
    other = {"input": [1, 2], "steps": [{"value": 4, "reads": [0, 1]}], "answer": 4}
    assert "contradiction" in kinds_of(same, other)
    leaking = [{"input": [n, n % 5], "steps": [{"value": n % 5, "reads": [0]}], "answer": n % 5} for n in range(30)]
    assert "answer_leak" in kinds_of(*leaking)


def test_steps_are_recomputed_from_the_manifest(tmp_path):
    subtasks.make(bits=8, rows=20, out=tmp_path, seed=3)
    assert subtasks.check(str(tmp_path)).values["violations"] == 0
    rows = [json.loads(line) for line in (tmp_path / "train.jsonl").read_text().splitlines()]
    rows[4]["steps"][1]["value"] ^= 1
    (tmp_path / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    result = subtasks.check(str(tmp_path))
    assert result.values["not_recomputable"] == 1
    assert result.status == "failed"


def test_make_writes_what_others_read(tmp_path):
    subtasks.make(bits=12, rows=64, out=tmp_path, seed=7)
    manifest = json.loads((tmp_path / "manifest.json").read_text())
    lines = [json.loads(line) for line in (tmp_path / "train.jsonl").read_text().splitlines()]
    assert len(lines) == 64
    for line in lines:
        tokens = list(line["input"])
        for step in line["steps"]:
            assert step["value"] == tokens[step["reads"][0]] ^ tokens[step["reads"][1]]
            tokens.append(step["value"])
        assert line["answer"] == sum(line["input"][place] for place in manifest["subset"]) % 2
    solved = subtasks.solve_gf2(str(tmp_path / "train.jsonl"))
    assert solved.values["recovered"] == 1


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("3 + 4 = 7", 0),
        ("3 + 4 = 8", 1),
        ("(2+3)*4=20", 0),
        ("7 / 2 = 3.5", 0),
        ("10 / 3 = 3.33", 0),
        ("10 / 3 = 3.34", 1),
        ("10 / 3 = 3", 1),
        ("-2 + 5 = 3", 0),
        ("1,200 + 300 = 1500", 0),
        ("x = 3", 0),
        ("9 / 0 = 1", 0),
    ],
)
def test_equations_are_worked_out_exactly(text, wrong):
    assert len(wrong_equations(text)) == wrong


def test_layout_knows_where_its_pieces_are():
    layout = lay_out(rows_of(GOOD)[0])
    assert [layout.text[start:end] for start, end in layout.pieces] == ["2 + 3 = 5", "5 + 4 = 9", "#### 9"]
    assert read_steps(layout.completion) == ["2 + 3 = 5", "5 + 4 = 9"]
    assert read_answer(layout.completion) == "9"


def test_arms_of_rows_cost_the_same_and_say_different_things():
    rows = arithmetic_rows(60, np.random.default_rng(1))
    made = {
        arm: arm_layouts(rows, arm, np.random.default_rng(0), noise=0.5)
        for arm in ("steps", "answer", "pause", "shuffled", "noisy")
    }
    assert [len(each.text) for each in made["pause"]] == [len(each.text) for each in made["steps"]]
    assert all(read_steps(each.completion) == [] for each in made["answer"])
    for plain, shuffled in zip(made["steps"], made["shuffled"], strict=True):
        assert sorted(read_steps(plain.completion)) == sorted(read_steps(shuffled.completion))
    pairs = [
        (a, b)
        for plain, noisy in zip(made["steps"], made["noisy"], strict=True)
        for a, b in zip(read_steps(plain.completion), read_steps(noisy.completion), strict=True)
    ]
    assert 0.35 < np.mean([a != b for a, b in pairs]) < 0.6
    assert all(read_answer(each.completion) == row.answer_text for each, row in zip(made["noisy"], rows, strict=True))
    with pytest.raises(InputError, match="needs levels"):
        arm_layouts(rows, "partial", np.random.default_rng(0))


def test_masks_cover_the_completion_and_nothing_else():
    tokenizer = load_tokenizer("reference")
    rows = rows_of(
        {"input": "add first two", "steps": [{"text": "first two makes four", "value": "four"}], "answer": "four"}
    )
    layout = arm_layouts(rows, "steps", np.random.default_rng(0))[0]
    made = next(training_rows([layout], "causal", tokenizer))
    assert made["prompt"] + made["completion"] == layout.text
    assert [made["completion"][a:b] for a, b in made["spans"]] == ["first two makes four", "#### four"]
    learned = [token for token, label in zip(made["input_ids"], made["labels"], strict=True) if label != -100]
    assert tokenizer.decode(learned[:4]) == "first two makes four"
    assert [int(label != -100) for label in made["labels"]] == made["completion_mask"]
    assert "target" in next(training_rows([layout], "seq2seq"))


def test_the_line_break_of_the_prompt_is_not_learned_and_all_after_it_is(tiny_model):
    tokenizer = load_tokenizer(tiny_model)
    layout = lay_out(rows_of(GOOD)[0])
    made = next(training_rows([layout], "causal", tokenizer))
    ids = tokenizer(layout.completion, add_special_tokens=False)["input_ids"]
    learned = [label for label in made["labels"] if label != -100]
    assert learned == [*ids, tokenizer.eos_token_id]
    assert made["completion_mask"].index(1) == len(made["input_ids"]) - len(learned)


def test_written_data_load_with_datasets(tmp_path):
    datasets = pytest.importorskip("datasets", reason="the extra 'data' is not installed")
    subtasks.augment(arms=("steps", "pause"), out=tmp_path)
    loaded = datasets.load_dataset("json", data_files=str(tmp_path / "steps" / "train.jsonl"), cache_dir=str(tmp_path))
    assert {"prompt", "completion"} <= set(loaded["train"].column_names)


def test_written_tokens_are_learned_by_plain_transformers(tmp_path, tiny_model):
    """Its Trainer, given input_ids and labels, must start at the mean of -log p over the learned tokens."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, DataCollatorForSeq2Seq

    subtasks.augment(arms=("steps",), tokenizer=str(tiny_model), device="cpu", out=tmp_path)
    lines = (tmp_path / "steps" / "train.jsonl").read_text().splitlines()[:5]
    rows = [{key: json.loads(line)[key] for key in ("input_ids", "labels")} for line in lines]
    model = AutoModelForCausalLM.from_pretrained(tiny_model)
    tokenizer = AutoTokenizer.from_pretrained(tiny_model, pad_token="</s>")
    batch = DataCollatorForSeq2Seq(tokenizer)(rows)
    with torch.no_grad():
        together = float(model(**batch).loss)
        scores = [torch.log_softmax(model(torch.tensor([row["input_ids"]])).logits[0], dim=-1) for row in rows]
    learned = [
        -float(score[place - 1, token])
        for row, score in zip(rows, scores, strict=True)
        for place, token in enumerate(row["labels"])
        if token != -100
    ]
    assert together == pytest.approx(np.mean(learned), rel=1e-5)


def test_scores_compare_line_by_line():
    rows = rows_of(GOOD, GOOD)
    layouts = [lay_out(row) for row in rows]
    scores = score_texts(["2 + 3 = 5\n5 + 4 = 8\n#### 9", "2 + 3 = 5\n#### 9"], rows, layouts)
    assert scores.correct.tolist() == [[True, False, True], [True, False, True]]
    assert scores.answer.all()
    assert scores.chain.tolist() == [False, False]


def test_tokens_across_steps_are_found():
    """A tokenizer that keeps two lines as one token glues the steps together; one that splits at lines does not."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    rows = rows_of({"input": "a", "steps": [{"value": "b"}, {"value": "c"}], "answer": "c"})

    def words(splitter):
        vocabulary = {"<unk>": 0, "a": 1, "b": 2, "c": 3, "b\nc": 4}
        tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
        tokenizer.pre_tokenizer = splitter
        return PreTrainedTokenizerFast(tokenizer_object=tokenizer)

    gluing, splitting = words(pre_tokenizers.Split(" ", "isolated")), words(pre_tokenizers.Whitespace())
    assert "token_merge" in {each.kind for each in check_rows({"train": rows}, max_arity=2, tokenizer=gluing)}
    assert check_rows({"train": rows}, max_arity=2, tokenizer=splitting) == []


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "line 1 is not JSON"),
        ('{"input": "a", "steps": []}', "no 'answer'"),
        ('{"input": "", "steps": [], "answer": 1}', "'input' must be"),
        ('{"input": "a", "steps": {}, "answer": 1}', "'steps' must be a list"),
        ('{"input": "a", "steps": [3], "answer": 1}', "step 0: write"),
        ('{"input": "a", "steps": [{"value": 1, "reads": 0}], "answer": 1}', "'reads' must be"),
        ('{"input": "a", "steps": [], "answer": null}', "'answer' must be"),
        ("", "is empty"),
    ],
)
def test_rows_that_cannot_be_read_are_refused_in_one_line(tmp_path, line, message):
    path = tmp_path / "rows.jsonl"
    path.write_text(line + "\n")
    with pytest.raises(InputError, match=message) as caught:
        read_rows(path)
    assert "\n" not in str(caught.value)


def test_rows_go_to_a_file_and_back(tmp_path):
    rows = arithmetic_rows(20, np.random.default_rng(0))
    write_rows(tmp_path / "rows.jsonl", rows)
    back = read_rows(tmp_path / "rows.jsonl")
    assert [row.to_json() for row in back] == [row.to_json() for row in rows]
    splits = load_rows(str(tmp_path / "rows.jsonl"))
    assert sum(map(len, splits.values())) == 20
