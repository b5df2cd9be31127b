"""Exercises: right answers worked out another way, drawn without end, read from text, one batch like another."""

from __future__ import annotations

import re

import numpy as np
import pytest
import torch

from unspool.data import (
    Adding,
    Brackets,
    BracketsInCode,
    Copy,
    Exercise,
    ExerciseSource,
    Recall,
    RepeatCopy,
    Reverse,
    Sort,
    code_depths,
    depths,
)
from unspool.errors import DataError, SettingError

CODE = """/* a comment (with a bracket
 and { another */
int f(int a[3]) {
    char c = '{', *s = "a \\" ( b"; // and ]
    return (a[0] + g());
}

int x, y, z, more;
"""
KINDS = {
    "copy": Copy(4),
    "reverse": Reverse(4),
    "repeat-copy": RepeatCopy(4, 3),
    "recall": Recall(4),
    "sort": Sort(4),
    "adding": Adding(),
    "brackets": Brackets(3),
    "code": BracketsInCode([CODE]),
}


def drawn(name: str, length: int = 5, batch: int = 6, seed: int = 1) -> Exercise:
    return KINDS[name].draw(np.random.default_rng(seed), batch, length)


def rows(tensor: torch.Tensor, column: int) -> list[list[float]]:
    return tensor[:, column].tolist()


@pytest.mark.parametrize("name", KINDS)
def test_every_exercise_has_the_shapes_it_says(name):
    kind, exercise = KINDS[name], drawn(name)
    time = len(exercise.inputs)
    assert exercise.inputs.shape == (time, 6, kind.inputs)
    assert exercise.targets.shape == (time, 6, kind.outputs)
    assert exercise.counted.shape == (time, 6)
    assert exercise.inputs.dtype == exercise.targets.dtype == torch.float32
    assert exercise.lengths.tolist() == [time] * 6
    assert exercise.counted.any()
    assert exercise.size == 6 * time
    part = exercise.shard(1, 4)
    assert torch.equal(part.inputs, exercise.inputs[:, [1, 5]])
    assert torch.equal(part.targets, exercise.targets[:, [1, 5]])
    assert exercise.shard(6, 7) is None


@pytest.mark.parametrize("name", ["copy", "reverse"])
def test_copy_and_reverse_write_what_was_read(name):
    exercise = drawn(name)
    for column in range(6):
        read, wanted = rows(exercise.inputs, column), rows(exercise.targets, column)
        told = [row[:4] for row in read[:5]]
        assert wanted[6:] == (told if name == "copy" else told[::-1])
        assert [row[4] for row in read] == [0] * 5 + [1] + [0] * 5
        assert not any(map(any, read[6:]))  # the answer is nowhere in sight
    assert exercise.counted[:, 0].tolist() == [False] * 6 + [True] * 5


def test_repeat_copy_writes_as_often_as_asked_and_ends():
    kind = KINDS["repeat-copy"]
    seen = set()
    for seed in range(30):
        exercise = drawn("repeat-copy", 2, 3, seed)
        times = (len(exercise.inputs) - 4) // 2
        for column in range(3):
            told = [row[:4] for row in rows(exercise.inputs, column)[:2]]
            assert rows(exercise.targets, column)[3:] == [[*row, 0.0] for row in told * times] + [[0, 0, 0, 0, 1]]
        seen.add((times, round(float(exercise.inputs[2, 0, 4]), 4)))
        assert exercise.inputs[2, :, 4].abs().min() > 0
    spread = np.sqrt((9 - 1) / 12)
    assert seen == {(1, round(-1 / spread, 4)), (2, 1e-3), (3, round(1 / spread, 4))}
    assert kind.read("3x 1001").targets[:, 0, :4].tolist()[2:5] == [[1, 0, 0, 1]] * 3


def test_recall_wants_the_item_after_the_one_asked_for():
    for seed in range(5):
        exercise = drawn("recall", 4, 8, seed)
        for column in range(8):
            read = rows(exercise.inputs, column)
            items = [[row[:4] for row in read[4 * k + 1 : 4 * k + 4]] for k in range(4)]
            assert [place for place, row in enumerate(read) if row[4]] == [0, 4, 8, 12]
            assert [place for place, row in enumerate(read) if row[5]] == [16, 20]
            asked = [row[:4] for row in read[17:20]]
            after = [items[k + 1] for k in range(3) if items[k] == asked]
            assert rows(exercise.targets, column)[-3:] in after
    assert exercise.counted.sum(0).tolist() == [3] * 8


def test_sort_orders_by_priority():
    exercise = drawn("sort")
    for column in range(6):
        read = rows(exercise.inputs, column)[:5]
        expected = [row[:4] for row in sorted(read, key=lambda row: -row[4])]
        assert rows(exercise.targets, column)[6:] == expected
        assert all(-1 <= row[4] <= 1 for row in read)
    assert exercise.inputs[5, :, 5].tolist() == [1] * 6


def test_adding_marks_one_number_in_each_half():
    exercise = drawn("adding", 9, 200)
    numbers, marks = exercise.inputs.unbind(-1)
    assert (numbers >= 0).all()
    assert (numbers < 1).all()
    assert marks[:4].sum(0).eq(1).all()
    assert marks[4:].sum(0).eq(1).all()
    assert marks.sum(1).gt(0).all()  # every place gets its turn
    torch.testing.assert_close(exercise.targets[-1, :, 0], (numbers * marks).sum(0))
    assert exercise.counted[:, 0].tolist() == [False] * 8 + [True]


def test_depths_count_what_is_open():
    assert depths("a(b[c]{})d)e(").tolist() == [0, 1, 1, 2, 2, 1, 2, 1, 0, 0, 0, 0, 1]


def test_depths_of_code_leave_comments_and_texts_out():
    deep = code_depths(CODE)
    lines, place = [], 0
    for line in CODE.splitlines(keepends=True):
        place += len(line)
        lines.append(int(deep[place - 1]))
    assert lines == [0, 0, 1, 1, 1, 0, 0, 0]
    assert deep.max() == 3
    assert deep[CODE.index("a[3]") + 1] == 2
    assert depths(CODE)[-1] > 0  # a counter of all brackets is led astray


def test_brackets_match_and_are_told_closed_where_none_is_open():
    exercise = drawn("brackets", 60, 20)
    for column in range(20):
        signs = KINDS["brackets"].tokens(Exercise.of(*(part[:, [column]].numpy() for part in (
            exercise.inputs, exercise.targets, exercise.counted))))  # fmt: skip
        opened: list[str] = []
        for sign, closed in zip(signs, exercise.targets[:, column, 0].tolist(), strict=True):
            if sign in "([{":
                opened.append(sign)
            elif sign in ")]}":
                assert opened.pop() + sign in ("()", "[]", "{}")
            assert closed == (not opened)
            assert len(opened) <= 3
    assert 0.1 < exercise.targets.mean() < 0.9


def test_code_begins_where_everything_is_closed_and_no_comment_runs():
    kind = KINDS["code"]
    starts = set()
    for seed in range(40):
        text = "".join(kind.tokens(drawn("code", 12, 1, seed)))
        assert text in CODE
        starts.add(CODE.index(text))
        at = CODE.index(text)
        assert drawn("code", 12, 1, seed).targets[:, 0, 0].tolist() == (code_depths(CODE)[at : at + 12] == 0).tolist()
    assert starts <= {0, CODE.index("int f"), CODE.index("\nint x"), CODE.index("int x")}
    assert len(starts) > 2
    assert kind.tokens(kind.read("a\té")) == ["a", "\t", "\ufffd"]


@pytest.mark.parametrize("name", KINDS)
def test_the_form_that_is_shown_can_be_read(name):
    kind = {"copy": Copy(), "reverse": Reverse(), "repeat-copy": RepeatCopy(), "sort": Sort(), "recall": Recall()}.get(
        name, KINDS[name]
    )
    exercise = kind.read(kind.form)
    assert exercise.inputs.shape[1:] == (1, kind.inputs)
    assert len(kind.tokens(exercise)) == len(exercise.inputs)


def test_what_is_typed_is_worked_out():
    def answer(kind, text):
        exercise = kind.read(text)
        return kind.show(exercise.targets[exercise.counted[:, 0], 0].numpy())

    assert answer(Copy(3), "101 010") == "101 010"
    assert answer(Reverse(3), "101 010") == "010 101"
    assert answer(RepeatCopy(2), "2x 10 11") == "100 110 100 110 001"
    assert answer(Recall(1), "1 0 1 | 0 1 1 | 1 1 1 ? 0 1 1") == "1 1 1"
    assert answer(Sort(2), "-0.5:10 0.3:11 0:01") == "11 01 10"
    assert answer(Adding(), "0.25* 9 0.5*") == "0.750"
    assert answer(Brackets(), "a(b)c") == ".||.."


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("copy", "1001 10a1"),
        ("copy", "100"),
        ("copy", ""),
        ("repeat-copy", "1001"),
        ("repeat-copy", "0x 1001"),
        ("recall", "1000 1000 1000 | 0000 0000 0000 ? 1111 1111 1111"),
        ("recall", "1000 1000 1000"),
        ("sort", "1001"),
        ("sort", "high:1001"),
        ("adding", "0.5 0.5*"),
        ("adding", "x* 0.5*"),
        ("brackets", "(?)"),
        ("brackets", ""),
    ],
)
def test_another_form_is_refused_with_the_right_one(name, text):
    with pytest.raises(DataError, match=re.escape(f"is no exercise of {name}; expected the form {KINDS[name].form!r}")):
        KINDS[name].read(text)


def test_exercises_are_a_function_of_seed_stream_epoch_and_place():
    def first(seed=0, stream=0, epoch=0, start=0):
        source = ExerciseSource(KINDS["copy"], (1, 9), examples=50, batch_size=8, seed=seed, stream=stream)
        return [batch.inputs for batch in source.epoch(epoch, start=start)]

    batches = first()
    assert len(batches) == 7
    assert [batch.shape[1] for batch in batches] == [8] * 6 + [2]
    assert all(torch.equal(one, other) for one, other in zip(batches, first(), strict=True))
    assert all(torch.equal(one, other) for one, other in zip(batches[3:], first(start=3), strict=True))
    for other in (first(seed=1), first(stream=1), first(epoch=1)):
        assert not all(
            one.shape == two.shape and torch.equal(one, two) for one, two in zip(batches, other, strict=True)
        )
    lengths = {(len(batch) - 1) // 2 for epoch in range(20) for batch in first(epoch=epoch)}
    assert lengths == set(range(1, 10))
    with pytest.raises(SettingError, match="lengths from 5 to 4"):
        ExerciseSource(KINDS["copy"], (5, 4), examples=5, batch_size=2)


def test_a_curriculum_grows_the_longest_length_to_the_full_one_and_changes_nothing_after_it():
    def lengths(epoch, growing, start=0):
        source = ExerciseSource(KINDS["copy"], (2, 9), examples=800, batch_size=2, seed=3, growing=growing)
        return [(len(batch.inputs) - 1) // 2 for batch in source.epoch(epoch, start=start)]

    quarters = np.array(lengths(0, 2.0) + lengths(1, 2.0)).reshape(8, 100)
    assert quarters.min() == 2
    assert quarters.max(1).tolist() == [2, 3, 4, 5, 6, 7, 8, 9]
    assert lengths(1, 2.0, start=150) == lengths(1, 2.0)[150:]
    assert lengths(2, 2.0) == lengths(2, 0.0)
    assert lengths(1, 2.0) != lengths(1, 0.0)
