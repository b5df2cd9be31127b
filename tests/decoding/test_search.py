"""Greedy and beam search against plain searches and exhaustive counts, batched and alone."""

from __future__ import annotations

import math
import re
from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st
from torch.testing import assert_close
from toy_models import LONG, Fixed, Plain, Toy, best_first, fields, same

from unspool.data import END
from unspool.decoding import DecodingSettings, decode
from unspool.decoding.choosers import top
from unspool.decoding.hypotheses import coverage_penalty, length_penalty
from unspool.errors import DecodingError, SettingError

SEEDS, LIMITS, SOURCES = [0, 1, 2, 3, 4, 5], [4, 1, 3, 5, 2, 4], [5, 1, 3, 2, 4, 5]
PREFIXES = [[3], [], [1, 1, 0], [0, 1, 3], [1], []]


def written(toy, settings, *, seeds=SEEDS, limits=LIMITS, sources=SOURCES, **rest):
    return decode(
        toy,
        toy.start(seeds, sources),
        settings=settings,
        max_lengths=torch.tensor(limits),
        source_lengths=torch.tensor(sources),
        **rest,
    )


@pytest.mark.parametrize("best", [1, 3, 40])
@pytest.mark.parametrize(
    "values",
    [
        {"length_penalty": 0.0},
        {"length_penalty": 0.6},
        {"length_penalty": 2.5},
        {"coverage_penalty": 0.3},
        {"coverage_penalty": 2.0, "length_penalty": 0.0},
        {"min_length": 2},
        {"min_length": 9},
        {"no_repeat_ngram": 1},
        {"no_repeat_ngram": 2, "length_penalty": 3.0},
        {"no_repeat_ngram": 3, "min_length": 1, "coverage_penalty": 0.5},
    ],
    ids=str,
)
def test_a_beam_wide_enough_finds_what_counting_everything_finds(values, best):
    settings = DecodingSettings(beam=LONG, best=best, **values)
    for rules in ({}, {"prefix": PREFIXES}, {"forbidden": torch.tensor([False, True, False, False])}):
        toy = Toy()
        results = written(toy, settings, **rules)
        for seed, limit, source, prefix, actual in zip(SEEDS, LIMITS, SOURCES, PREFIXES, results, strict=True):
            forced = {"prefix": prefix} if "prefix" in rules else {}
            barred = {"forbidden": {1}} if "forbidden" in rules else {}
            plain = Plain(toy, seed, limit, settings, source=source, **forced, **barred)
            same(actual, best_first(list(plain.everything()))[:best])


@st.composite
def problems(draw):
    """Settings, and the random table's seed."""
    beam = draw(st.integers(1, 7))
    values = DecodingSettings(
        beam=beam,
        best=draw(st.integers(1, beam)),
        length_penalty=draw(st.sampled_from([0.0, 0.6, 1.0, 3.0])),
        coverage_penalty=draw(st.sampled_from([0.0, 0.4])),
        min_length=draw(st.integers(0, 4)),
        no_repeat_ngram=draw(st.integers(0, 3)),
    )
    batch = draw(st.integers(1, 5))
    limits = draw(st.lists(st.integers(1, 9), min_size=batch, max_size=batch))
    sources = draw(st.lists(st.integers(1, 5), min_size=batch, max_size=batch))
    units = st.sampled_from([0, 1, 3, 4])
    prefixes = [draw(st.lists(units, max_size=min(3, limit))) for limit in limits]
    return values, limits, sources, prefixes, draw(st.integers(0, 10_000))


@examples(max_examples=200, deadline=None)
@given(problems())
def test_a_beam_keeps_what_a_plain_beam_keeps_and_batches_change_nothing(problem):
    settings, limits, sources, prefixes, number = problem
    torch.manual_seed(number)
    toy, seeds = Toy(vocabulary=5, seeds=5), list(range(len(limits)))
    results = written(toy, settings, seeds=seeds, limits=limits, sources=sources, prefix=prefixes)
    alone = []
    for seed, limit, source, prefix in zip(seeds, limits, sources, prefixes, strict=True):
        plain = Plain(toy, seed, limit, settings, source=source, prefix=prefix).beam(settings.beam)
        same(results[seed], plain[: settings.best])
        alone += written(toy, settings, seeds=[seed], limits=[limit], sources=[source], prefix=[prefix])
    assert fields(results) == fields(alone)
    for several, prefix in zip(results, prefixes, strict=True):
        assert len({(tuple(one.ids), one.finished) for one in several}) == len(several)
        order = [(not one.finished, -one.score) for one in several]
        assert order == sorted(order)
        for one in several:
            assert one.ids[: len(prefix)] == prefix
            assert END not in one.ids
            assert len(one.ids) >= settings.min_length or not one.finished
            assert one.log_probability == pytest.approx(sum(one.token_log_probabilities), rel=1e-9)


@pytest.mark.parametrize("values", [{}, {"length_penalty": 4.0}, {"no_repeat_ngram": 2, "min_length": 3}], ids=str)
def test_greedy_takes_the_likeliest_each_time_and_is_a_beam_of_one(values):
    toy = Toy(vocabulary=7)
    limits = [12, 3, 9, 1, 20, 15]
    greedy = written(toy, DecodingSettings(search="greedy", **values), limits=limits)
    assert fields(greedy) == fields(written(toy, DecodingSettings(beam=1, **values), limits=limits))
    for seed, limit, [actual] in zip(SEEDS, limits, greedy, strict=True):
        plain, ids, finished = Plain(toy, seed, limit, DecodingSettings(**values)), (), False
        for _ in range(limit):
            unit = max(plain.followers(ids), key=lambda pair: pair[1])[0]
            if unit == END:
                finished = True
                break
            ids = (*ids, unit)
        assert (tuple(actual.ids), actual.finished) == (ids, finished)


def test_attention_is_that_of_the_steps_of_each_hypothesis():
    toy = Toy()
    for several, seed, source in zip(written(toy, DecodingSettings(beam=6, best=6)), SEEDS, SOURCES, strict=True):
        plain = Plain(toy, seed, 9, DecodingSettings(), source=source)
        for one in several:
            assert one.attention is not None
            assert one.attention.dtype == np.float32
            assert one.attention.shape == (len(one.token_log_probabilities), source)
            expected = plain.attention(tuple(one.ids), len(one.token_log_probabilities))
            assert_close(torch.from_numpy(one.attention), expected)


def test_a_model_that_looks_nowhere_gives_no_attention_and_knows_no_coverage():
    toy = Toy(attends=False)
    assert all(one.attention is None for several in written(toy, DecodingSettings()) for one in several)
    with pytest.raises(SettingError, match=re.escape("coverage_penalty = 0.2 needs a model with attention")):
        written(toy, DecodingSettings(coverage_penalty=0.2))


def test_without_source_lengths_all_columns_count():
    toy = Toy()
    settings = DecodingSettings(beam=LONG, best=9, coverage_penalty=0.7)
    [actual] = decode(toy, toy.start([2]), settings=settings, max_lengths=torch.tensor([3]))
    same(actual, best_first(list(Plain(toy, 2, 3, settings).everything()))[:9])


def test_the_penalties_are_those_of_the_paper():
    assert length_penalty([1, 7, 13], 1.0).tolist() == [1, 2, 3]
    assert length_penalty(7, 0.6) == pytest.approx(1.515716566510398)
    assert length_penalty(13, 0.0) == 1
    coverage = np.array([[0.5, 1.2, 0.25], [1.0, 3.0, 1.0], [0.0, 1.0, 0.9]])
    expected = [-0.41588830833596724, 0, 0.2 * (-23.025850929940457 - 0.10536051565782628)]
    assert coverage_penalty(coverage, 0.2) == pytest.approx(expected)


def test_rows_leave_the_batch_as_soon_as_they_are_done():
    """Sequence n ends after n units for certain: greedy reads a row less in each step."""

    class Ends(Fixed):
        rows: list[int] = []  # noqa: RUF012

        def advance(self, ids, state):
            self.rows.append(len(ids))
            left = state - 1
            chances = torch.full((len(ids), 4), 0.01)
            chances[torch.arange(len(ids)), torch.where(left < 0, END, 3)] = 0.97
            return chances.log(), left

    model, lengths = Ends([]), [4, 0, 2, 7, 2]
    results = decode(
        model,
        torch.tensor(lengths),
        settings=DecodingSettings(search="greedy"),
        max_lengths=torch.tensor([9, 9, 9, 6, 9]),
    )
    assert [[one.ids for one in several] for several in results] == [[[3] * length] for length in (4, 0, 2, 6, 2)]
    assert [several[0].finished for several in results] == [True, True, True, False, True]
    assert model.rows == [5, 4, 4, 2, 2, 1]
    model.rows.clear()
    decode(model, torch.tensor(lengths), settings=DecodingSettings(beam=3), max_lengths=torch.tensor([9] * 5))
    # at first a row each; the likeliest end of a sequence can't be beaten by anything left, so its rows go with it
    assert model.rows[0] == 5
    assert len(model.rows) == 8
    assert model.rows[-1] <= 3


def test_a_beam_stops_when_nothing_left_can_win_and_not_before():
    def steps(chances, **values):
        calls = []

        class Counted(Fixed):
            def advance(self, ids, state):
                calls.append(len(ids))
                return super().advance(ids, state)

        settings = DecodingSettings(beam=3, **values)
        [several] = decode(Counted(chances), torch.zeros(1), settings=settings, max_lengths=torch.tensor([6]))
        return calls, several

    # the end at once, chance 0.6, beats everything else (0.3 at most) as long as length is not excused
    calls, [best] = steps([0.0, 0.1, 0.6, 0.3], length_penalty=0.0)
    assert (calls, best.ids) == ([1], [])
    # 0.3 left; ln 0.3 / lp(6) = -1.204 / 1.8333 = -0.657 can't beat ln 0.6 / lp(1) = -0.511
    calls, [best] = steps([0.0, 0.1, 0.6, 0.3], length_penalty=1.0)
    assert (calls, best.ids) == ([1], [])
    # ln 0.3 / (11/6)^2 = -0.358 could: it is followed until it can't
    calls, [best] = steps([0.0, 0.1, 0.6, 0.3], length_penalty=2.0)
    assert len(calls) > 1
    # two are asked for: the second end has to be found
    calls, several = steps([0.0, 0.1, 0.6, 0.3], length_penalty=0.0, best=2)
    assert (calls, [one.ids for one in several]) == ([1, 2], [[], [3]])


def test_an_end_leaves_its_place_empty():
    rows = []

    class Counted(Fixed):
        def advance(self, ids, state):
            rows.append(len(ids))
            return super().advance(ids, state)

    settings = DecodingSettings(beam=4, best=4, length_penalty=0.0)
    decode(Counted([0.3, 0.2, 0.25, 0.25]), torch.zeros(1), settings=settings, max_lengths=torch.tensor([9]))
    assert rows[:2] == [1, 3]
    assert all(after <= before for before, after in pairwise(rows[1:]))


@pytest.mark.parametrize("search", ["greedy", "beam"])
def test_equals_are_broken_by_the_lower_unit(search):
    model = Fixed([0.125] * 8)
    settings = DecodingSettings(search=search, beam=3, best=1 if search == "greedy" else 3, min_length=2)
    [several] = decode(model, torch.zeros(1), settings=settings, max_lengths=torch.tensor([2]))
    assert [one.ids for one in several] == [[0, 0], [0, 1], [0, 3]][: len(several)]


@pytest.mark.parametrize("beam", [1, 2, 3, 5, 8, 50])
def test_equals_at_the_edge_of_a_beam_are_broken_by_the_lower_unit(beam):
    chances = [0.02, 0.1, 0.0, 0.1, 0.2, 0.1, 0.02, 0.1, 0.2, 0.1]
    order = sorted((unit for unit in range(10) if unit != END), key=lambda unit: (-chances[unit], unit))
    settings = DecodingSettings(beam=beam, best=beam)
    [several] = decode(Fixed(chances), torch.zeros(1), settings=settings, max_lengths=torch.tensor([1]))
    assert [one.ids[0] for one in several] == order[:beam]


def test_a_hypothesis_that_nothing_may_follow_is_cut_there():
    settings = DecodingSettings(beam=4, best=4, no_repeat_ngram=1, min_length=5)
    [several] = decode(Fixed([0.1, 0.2, 0.3, 0.4]), torch.zeros(1), settings=settings, max_lengths=torch.tensor([9]))
    assert sorted(one.ids for one in several) == [[0, 3, 1], [1, 3, 0], [3, 0, 1], [3, 1, 0]]
    assert not any(one.finished for one in several)
    nothing = torch.ones(4, dtype=torch.bool)
    [[one]] = decode(
        Fixed([0.25] * 4), torch.zeros(1), settings=settings, max_lengths=torch.tensor([9]), forbidden=nothing
    )
    assert (one.ids, one.finished, one.score, one.token_log_probabilities) == ([], False, 0.0, [])


def test_what_got_stuck_does_not_stop_the_search_for_ends():
    class Blind:
        """After 0 nothing follows; after 1 the end or 3; after 3 the end."""

        chances = torch.tensor([[0.0, 0, 0, 0], [0, 0, 0.5, 0.5], [0.5, 0.5, 0, 0], [0, 0, 1, 0]])

        def advance(self, ids, state):
            return self.chances[ids].log(), state

    settings = DecodingSettings(beam=3, best=2, length_penalty=0.0)
    [several] = decode(Blind(), None, settings=settings, max_lengths=torch.tensor([9]))
    assert [(one.ids, one.finished) for one in several] == [([1], True), ([1, 3], True)]
    [several] = decode(Blind(), None, settings=settings.replace(best=3), max_lengths=torch.tensor([9]))
    assert [(one.ids, one.finished) for one in several] == [([1], True), ([1, 3], True), ([0], False)]


@pytest.mark.parametrize("search", ["greedy", "beam", "sample"])
@pytest.mark.parametrize(
    "rules",
    [{"min_length": 2}, {"no_repeat_ngram": 1}, {"prefix": [[1, 3]] * 3}, {"forbidden": torch.eye(5).bool()[3]}],
    ids=str,
)
def test_what_the_model_returns_is_not_written_to(search, rules):
    class Views(Fixed):
        kept = torch.randn(5).log_softmax(-1).repeat(50, 1)

        def advance(self, ids, state):
            return self.kept[: len(ids)], state

    before, rules = Views.kept.clone(), dict(rules)
    values = {name: rules.pop(name) for name in ("min_length", "no_repeat_ngram") if name in rules}
    settings = DecodingSettings(search=search, **values)
    decode(Views([]), torch.zeros(3), settings=settings, max_lengths=torch.tensor([4, 5, 6]), **rules)
    assert torch.equal(Views.kept, before)


@pytest.mark.parametrize("size", [1, 2, 7, 4095, 4096, 4099, 9001])
@pytest.mark.parametrize("equals", [False, True])
@pytest.mark.parametrize("count", [1, 5, 300])
def test_the_top_is_that_of_a_stable_sort(size, equals, count):
    scores = torch.randint(-40, 0, (9, size)).float() if equals else torch.randn(9, size)
    scores[0, ::2], scores[1] = float("-inf"), float("-inf")
    values, units = top(scores, count)
    expected = scores.sort(dim=-1, descending=True, stable=True)
    shown = np.isfinite(values)
    assert values.tolist() == expected.values[:, :count].tolist()
    assert units[shown].tolist() == expected.indices[:, :count].numpy()[shown].tolist()
    if size > 1:
        scores[-1, size // 2] = float("nan")
        assert np.isnan(top(scores, count)[0][:, 0]).tolist() == [False] * 8 + [True]


def test_finished_hypotheses_come_before_cut_ones():
    [[first, second]] = decode(
        Fixed([0.0, 0.0, 0.01, 0.99]),
        torch.zeros(1),
        settings=DecodingSettings(beam=2, best=2),
        max_lengths=torch.tensor([3]),
    )
    assert (first.ids, first.finished) == ([], True)
    assert (second.ids, second.finished) == ([3, 3, 3], False)
    assert first.score < second.score


def test_a_prefix_is_written_even_where_the_model_and_the_rules_are_against_it():
    forbidden = torch.tensor([False, True, False, False])
    [[one]] = decode(
        Fixed([0.0, 0.3, 0.3, 0.4]),
        torch.zeros(1),
        settings=DecodingSettings(no_repeat_ngram=1),
        max_lengths=torch.tensor([5]),
        prefix=[[1, 1, 0]],
        forbidden=forbidden,
    )
    assert one.ids[:3] == [1, 1, 0]
    assert one.token_log_probabilities[0] == pytest.approx(math.log(0.3))


def test_max_length_of_the_settings_goes_before_the_caller_s():
    settings = DecodingSettings(search="greedy", max_length=4)
    [[first], [second]] = decode(
        Fixed([0, 0, 0.1, 0.9]), torch.zeros(2), settings=settings, max_lengths=torch.tensor([2, 9])
    )
    assert len(first.ids) == len(second.ids) == 4


def test_another_begin_and_end():
    toy, settings = Toy(), DecodingSettings(search="greedy")
    [[one]] = decode(toy, toy.start([1]), settings=settings, max_lengths=torch.tensor([3]), begin=3, end=0)
    assert one.token_log_probabilities[0] == pytest.approx(toy.table[1, 0, 3].max().item())
    [[one]] = decode(
        Fixed([0.6, 0.1, 0.2, 0.1]), torch.zeros(1), settings=settings, max_lengths=torch.tensor([3]), end=0
    )
    assert (one.ids, one.finished) == ([], True)


def test_no_sequences_give_no_hypotheses():
    toy = Toy()
    assert decode(toy, toy.start([]), settings=DecodingSettings(), max_lengths=torch.zeros(0, dtype=torch.long)) == []


@pytest.mark.parametrize("search", ["greedy", "beam", "sample"])
@pytest.mark.parametrize("wrong", [float("nan"), float("inf")])
def test_numbers_that_are_none_are_refused(search, wrong):
    class Broken(Fixed):
        def advance(self, ids, state):
            scores, state = super().advance(ids, state)
            if int(state[0]) == 3:
                scores[-1, 0] = wrong
            return scores, state

    with pytest.raises(DecodingError, match=r"after 2 units the network gave log-probabilities that are not numbers"):
        decode(
            Broken([0.2, 0.3, 0.0, 0.5]),
            torch.zeros(2),
            settings=DecodingSettings(search=search),
            max_lengths=torch.tensor([5, 5]),
        )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"prefix": [[1]]}, "there are 1 prefixes for 2 sequences"),
        ({"prefix": [[], [1, 1, 1, 1]]}, "prefix 2 has 4 units, more than the maximum length, 3"),
        ({"prefix": [[1, END], []]}, "prefix 1 has the end, or a unit below 0"),
        ({"prefix": [[-1], []]}, "prefix 1 has the end, or a unit below 0"),
        ({"prefix": [[], [4]]}, "a prefix has unit 4, and the vocabulary ends at 3"),
        ({"forbidden": torch.zeros(5, dtype=torch.bool)}, "forbidden has 5 units, and the vocabulary 4"),
        ({"end": 4}, "the end is unit 4, and the vocabulary ends at 3"),
        ({"max_lengths": torch.tensor([3, 0])}, "max_lengths has 0: expected 1 or more"),
    ],
    ids=str,
)
def test_arguments_that_do_not_fit_are_refused(arguments, message):
    arguments = {"max_lengths": torch.tensor([5, 3])} | arguments
    with pytest.raises(SettingError, match=re.escape(message)):
        decode(Fixed([0.25] * 4), torch.zeros(2), settings=DecodingSettings(), **arguments)


def test_a_search_makes_no_gradient():
    class Learned(Fixed):
        weight = torch.nn.Parameter(torch.ones(4))

        def advance(self, ids, state):
            scores, state = super().advance(ids, state)
            scores = scores * self.weight
            assert not scores.requires_grad
            return scores, state

    decode(Learned([0.25] * 4), torch.zeros(2), settings=DecodingSettings(), max_lengths=torch.tensor([2, 3]))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("search", ["greedy", "beam", "sample"])
def test_a_gpu_finds_what_the_cpu_finds(search):
    settings = DecodingSettings(search=search, no_repeat_ngram=2, min_length=1, coverage_penalty=0.3)
    results = []
    for device in ("cpu", "cuda"):
        torch.manual_seed(3)
        toy, forbidden = Toy(vocabulary=6), torch.eye(6).bool()[4]
        toy.table, toy.looks = toy.table.to(device), toy.looks.to(device)
        state = toy.start(SEEDS, SOURCES)
        state = state._replace(
            seed=state.seed.to(device), past=(state.past[0].to(device), None), padding=state.padding.to(device)
        )
        results += [
            decode(
                toy,
                state,
                settings=settings,
                max_lengths=torch.tensor([9] * 6, device=device),
                forbidden=forbidden,
                prefix=PREFIXES,
                generator=torch.Generator().manual_seed(1),
            )
        ]
    for one, other in zip(*results, strict=True):
        assert [each.ids for each in one] == [each.ids for each in other]
        assert [each.score for each in one] == pytest.approx([each.score for each in other], rel=1e-4)
