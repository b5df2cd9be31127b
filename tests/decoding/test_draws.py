"""Sampling whole outputs, and writing one unit at a time."""

from __future__ import annotations

import math
import re
from collections import Counter
from itertools import islice

import pytest
import torch
from torch.testing import assert_close
from toy_models import Fixed, Plain, Toy, fields

from unspool.data import END
from unspool.decoding import DecodingSettings, decode, stream
from unspool.decoding.choosers import Uniform
from unspool.decoding.sampling import chances, draw
from unspool.errors import SettingError

DRAWS = 6000


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.parametrize(
    "values",
    [{}, {"temperature": 0.6}, {"top_k": 2}, {"top_p": 0.7}, {"no_repeat_ngram": 1}, {"min_length": 2}],
    ids=str,
)
def test_outputs_are_drawn_with_their_chances(values):
    toy, settings = Toy(), DecodingSettings(search="sample", best=DRAWS, **values)
    results = decode(toy, toy.start([1, 4]), settings=settings, max_lengths=torch.tensor([3, 2]), generator=seeded(3))
    for seed, limit, several in zip([1, 4], [3, 2], results, strict=True):
        plain = Plain(toy, seed, limit, settings)

        def chance(ids: tuple[int, ...], finished: bool, plain: Plain = plain) -> float:
            product = 1.0
            for at, unit in enumerate((*ids, *([END] * finished))):
                row = torch.full((1, toy.vocabulary), float("-inf"))
                for follower, nats in plain.followers(ids[:at]):
                    row[0, follower] = nats
                picked = {name: values[name] for name in ("temperature", "top_k", "top_p") if name in values}
                product *= float(chances(row, **picked)[0, unit])
            return product

        exact = {(one.ids, one.finished): chance(one.ids, one.finished) for one in plain.everything()}
        assert math.isclose(sum(exact.values()), 1, rel_tol=1e-5)
        seen = Counter((tuple(one.ids), one.finished) for one in several)
        assert sum(seen.values()) == DRAWS
        for output, share in exact.items():
            spread = math.sqrt(share * (1 - share) / DRAWS)
            assert abs(seen[output] / DRAWS - share) <= 4.5 * spread, output
        order = [(not one.finished, -one.score) for one in several]
        assert order == sorted(order)


def test_draws_hang_neither_on_the_batch_nor_on_who_has_left():
    toy, settings = Toy(vocabulary=6), DecodingSettings(search="sample", best=3, temperature=1.3)
    seeds, limits = [3, 0, 5, 1], [150, 4, 70, 1]
    together = decode(toy, toy.start(seeds), settings=settings, max_lengths=torch.tensor(limits), generator=seeded(8))
    chance, alone = seeded(8), []
    for seed, limit in zip(seeds, limits, strict=True):
        alone += decode(toy, toy.start([seed]), settings=settings, max_lengths=torch.tensor([limit]), generator=chance)
    assert fields(together) == fields(alone)
    other = decode(toy, toy.start(seeds), settings=settings, max_lengths=torch.tensor(limits), generator=seeded(9))
    assert fields(together) != fields(other)


def test_long_draws_do_not_repeat_their_chances():
    [several] = decode(
        Fixed([0.25, 0.25, 0.0, 0.5]),
        torch.zeros(1),
        settings=DecodingSettings(search="sample", best=2),
        max_lengths=torch.tensor([256]),
        generator=seeded(1),
    )
    first, second = (one.ids for one in several)
    assert first != second
    assert len({tuple(first[at : at + 64]) for at in range(0, 256, 64)}) == 4


def test_temperature_zero_is_greedy():
    toy, limits = Toy(vocabulary=6), torch.tensor([30, 2, 9])
    drawn = decode(
        toy,
        toy.start([0, 1, 2]),
        settings=DecodingSettings(search="sample", temperature=0.0, no_repeat_ngram=2),
        max_lengths=limits,
    )
    greedy = decode(
        toy,
        toy.start([0, 1, 2]),
        settings=DecodingSettings(search="greedy", no_repeat_ngram=2),
        max_lengths=limits,
    )
    assert fields(drawn) == fields(greedy)


def test_rows_that_are_drawn_to_their_end_leave():
    toy = Toy()
    results = decode(
        toy,
        toy.start([0, 1, 2]),
        settings=DecodingSettings(search="sample", best=4),
        max_lengths=torch.tensor([9, 3, 20]),
        generator=seeded(2),
    )
    steps = [len(one.token_log_probabilities) for several in results for one in several]
    assert toy.rows == [sum(length > step for length in steps) for step in range(max(steps))]


@pytest.mark.parametrize("temperature", [1e-6, 1e-40, 1e-300])
def test_the_smallest_temperatures_take_the_likeliest(temperature):
    scores = torch.randn(20, 9).log_softmax(-1)
    assert torch.equal(chances(scores, temperature=temperature).argmax(-1), scores.argmax(-1))


def test_a_unit_is_drawn_where_the_sums_pass_its_number():
    rows = torch.tensor([[0.0, 0.25, 0.25, 0.0, 0.5, 0.0]])
    numbers = torch.tensor([0.0, 0.2499, 0.25, 0.4999, 0.5, 0.999, 1 - 2**-24])
    assert draw(rows.expand(7, -1), numbers).tolist() == [1, 1, 2, 2, 4, 4, 4]
    assert draw(3 * rows.expand(7, -1), numbers).tolist() == [1, 1, 2, 2, 4, 4, 4]


def test_an_aim_at_the_very_end_takes_a_unit_that_can_be_drawn():
    rows = torch.tensor([[0.3, 0.7, 0.0], [0.2, 0.3, 0.5]])
    assert draw(rows, torch.ones(2)).tolist() == [1, 2]


def test_a_sequence_s_numbers_come_in_one_order():
    ahead, single = Uniform(seeded(5)), Uniform(seeded(5))
    block = ahead.take(40, 1)[:, 0].tolist()
    assert block == [single.take(1).item() for _ in range(40)]
    assert 0 <= min(block) < max(block) < 1


STREAMED = [
    DecodingSettings(search="greedy"),
    DecodingSettings(search="greedy", no_repeat_ngram=2, min_length=4),
    DecodingSettings(search="sample", temperature=1.5, top_p=0.95),
    DecodingSettings(search="sample", no_repeat_ngram=1, max_length=5),
]


@pytest.mark.parametrize("settings", STREAMED, ids=str)
@pytest.mark.parametrize("prefix", [[], [3, 3, 1]], ids=str)
def test_a_stream_writes_what_decode_writes(settings, prefix):
    forbidden = torch.tensor([True, *[False] * 5])
    for seed in range(6):
        toy = Toy(vocabulary=6)
        [[whole]] = decode(
            toy,
            toy.start([seed]),
            settings=settings,
            max_lengths=torch.tensor([100]),
            prefix=[prefix],
            forbidden=forbidden,
            generator=seeded(seed),
        )
        rules = {"max_length": 100, "prefix": prefix, "forbidden": forbidden, "generator": seeded(seed)}
        pieces, finished = [], None

        def follow(run):
            nonlocal finished
            finished = yield from run

        pieces = list(follow(stream(toy, toy.start([seed]), settings=settings, **rules)))
        assert [unit for unit, _ in pieces] == whole.ids
        assert [nats for _, nats in pieces] == whole.token_log_probabilities[: len(whole.ids)]
        assert finished == whole.finished


def test_a_stream_is_written_as_it_is_asked_for_and_may_be_endless():
    steps = []

    class Counted(Fixed):
        def advance(self, ids, state):
            steps.append(len(ids))
            return super().advance(ids, state)

    forbidden = torch.tensor([False, False, True, False])
    run = stream(
        Counted([0.2, 0.2, 0.4, 0.2]), torch.zeros(1), settings=DecodingSettings(search="sample"), forbidden=forbidden
    )
    assert steps == []
    assert next(run)[1] == pytest.approx(math.log(0.2))  # the model's own chance, not that among what is allowed
    assert steps == [1]
    assert len(list(islice(run, 500))) == 500


def test_a_beam_can_not_be_streamed():
    for settings in (DecodingSettings(), DecodingSettings(search="sample", best=2)):
        with pytest.raises(SettingError, match=re.escape("can't be written unit by unit")):
            next(stream(Fixed([0.25] * 4), torch.zeros(1), settings=settings))
    with pytest.raises(SettingError, match="max_length = 0"):
        next(stream(Fixed([0.25] * 4), torch.zeros(1), settings=DecodingSettings(search="greedy"), max_length=0))


def test_chances_are_those_of_a_row_alone():
    scores = torch.randn(30, 11).log_softmax(-1)
    rules = {"temperature": 0.7, "top_k": 6, "top_p": 0.8}
    together = chances(scores, **rules)
    assert torch.equal(together, torch.cat([chances(row[None], **rules) for row in scores]))
    assert_close(together.sum(-1), torch.ones(30))
