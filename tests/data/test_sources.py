import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from unspool.data import (
    END,
    IGNORED,
    Bucketed,
    Examples,
    Labelled,
    Sequences,
    Spelling,
    Tokens,
    Windows,
    evaluation_batches,
    refuse_empty,
    split,
)
from unspool.errors import DataError

SETTINGS = settings(max_examples=50, deadline=None, derandomize=True)
LENGTHS = st.lists(st.integers(1, 12) | st.sampled_from([1, 40, 5000]), min_size=1, max_size=40)


def numbered(lengths):
    """Sequences in which no number occurs twice, from 3 on."""
    ends = 3 + np.cumsum(lengths)
    return Sequences.of(np.arange(end - length, end, dtype=np.int32) for end, length in zip(ends, lengths, strict=True))


def rows_of(tokens):
    return [tuple(tokens.ids[:length, column].tolist()) for column, length in enumerate(tokens.lengths.tolist())]


def equal(one, other):
    if isinstance(one, torch.Tensor):
        return torch.equal(one, other)
    if one is None or other is None:
        return one is other
    return all(equal(getattr(one, name), getattr(other, name)) for name in one.__slots__)


@SETTINGS
@given(lengths=LENGTHS, budget=st.integers(1, 60), most=st.none() | st.integers(1, 5), seed=st.integers(0, 9))
def test_every_example_once_within_the_budget(lengths, budget, most, seed):
    sequences = numbered(lengths)
    source = Bucketed(Examples(sequences), batch_tokens=budget, batch_size=most, seed=seed)
    for epoch in (0, 1):
        batches = list(source.epoch(epoch))
        assert len(batches) == len(source)
        seen = [row for batch in batches for row in rows_of(batch)]
        assert sorted(seen) == sorted(tuple(sequence.tolist()) for sequence in sequences)
        for batch in batches:
            assert batch.ids.numel() <= budget or batch.ids.shape[1] == 1
            assert most is None or batch.ids.shape[1] <= most
            assert torch.equal(batch.ids != 0, batch.mask)
            assert batch.size == int(batch.mask.sum())


@SETTINGS
@given(lengths=LENGTHS, seed=st.integers(0, 9), start=st.integers(0, 45))
def test_order_is_a_function_of_seed_and_epoch_and_can_be_taken_up(lengths, seed, start):
    examples = Examples(numbered(lengths), np.arange(len(lengths)))
    sources = [Bucketed(examples, batch_tokens=30, seed=seed) for _ in range(2)]
    list(sources[1].epoch(7))
    whole, again = (list(source.epoch(3)) for source in sources)
    rest = list(sources[0].epoch(3, start=start))
    assert all(map(equal, whole, again))
    assert len(rest) == max(0, len(whole) - start)
    assert all(map(equal, rest, whole[start:]))


def test_epochs_and_seeds_differ():
    examples = Examples(numbered([3] * 50))
    orders = {
        tuple(row for batch in Bucketed(examples, batch_tokens=12, seed=seed).epoch(epoch) for row in rows_of(batch))
        for seed in (0, 1)
        for epoch in (0, 1)
    }
    assert len(orders) == 4


def test_equal_lengths_meet_others_in_each_epoch():
    source = Bucketed(Examples(numbered([3] * 50)), batch_tokens=12)
    together = [{frozenset(rows_of(batch)) for batch in source.epoch(epoch)} for epoch in (0, 1)]
    assert together[0] != together[1]


def test_batches_hold_like_lengths_and_the_giant_is_alone():
    source = Bucketed(Examples(numbered([5, 5000, 4, 5, 6, 4, 5])), batch_tokens=64)
    batches = sorted((batch.lengths.sort().values.tolist() for batch in source.epoch(0)), key=len)
    assert batches == [[5000], [4, 4, 5, 5, 5, 6]]


@SETTINGS
@given(lengths=LENGTHS, world=st.integers(1, 4))
def test_shards_make_up_the_whole(lengths, world):
    tags = Sequences.of(sequence % 7 for sequence in numbered(lengths))
    for targets in (tags, np.arange(len(lengths)), np.eye(len(lengths))):
        (_, batch), *_ = evaluation_batches(Examples(numbered(lengths), targets), batch_tokens=100)
        shards = [batch.shard(rank, world) for rank in range(world)]
        count = batch.tokens.ids.shape[1]
        assert [shard is None for shard in shards] == [rank >= count for rank in range(world)]
        axis = 1 if batch.per_token else 0
        for rank, shard in enumerate(shards):
            if shard is not None:
                assert torch.equal(shard.tokens.ids, batch.tokens.ids[:, rank::world])
                places = torch.arange(rank, count, world)
                assert torch.equal(shard.targets, batch.targets.index_select(axis, places))
        assert sum(shard.size for shard in shards if shard) == batch.size


def test_evaluation_returns_where_each_came_from():
    sequences = numbered([7, 2, 9, 2, 4])
    places = []
    for indices, batch in evaluation_batches(Examples(sequences), batch_tokens=12):
        assert rows_of(batch) == [tuple(sequences[index].tolist()) for index in indices]
        places.extend(indices.tolist())
    assert places == [1, 3, 4, 0, 2]


def test_targets_follow_their_tokens():
    tokens, tags = numbered([3, 1]), Sequences.of([[5, 6, 7], [8]])
    batch = Examples(tokens, tags).batch(np.array([1, 0]))
    assert isinstance(batch, Labelled)
    assert batch.tokens.ids.tolist() == [[6, 3], [0, 4], [0, 5]]
    assert batch.targets.tolist() == [[8, 5], [IGNORED, 6], [IGNORED, 7]]
    one = Examples(tokens, np.array([4, 9], np.int32)).batch(np.array([1, 0]))
    assert (one.targets.tolist(), one.targets.dtype, one.per_token) == ([9, 4], torch.int64, False)
    several = Examples(tokens, np.array([[1, 0, 1], [0, 0, 1]], np.uint8)).batch(np.array([1]))
    assert (several.targets.tolist(), several.targets.dtype) == ([[0.0, 0.0, 1.0]], torch.float32)
    assert isinstance(Examples(tokens).batch(np.array([0])), Tokens)


def test_each_word_of_a_batch_is_spelled_once():
    sentences = [["bb", "a", "bb"], ["ccc"], ["a", "ccc"]]
    spelling = Spelling.learn(sentences)
    forms, spellings = spelling.spell(sentences)
    examples = Examples(Sequences.of([[3, 4, 3], [5], [4, 5]]), None, forms, spellings)
    words = {1: "a", 2: "bb", 3: "ccc"}
    for chosen, shape in (([2, 0], (3, 3)), ([2, 1], (3, 2)), ([1], (3, 1))):
        characters = examples.batch(np.array(chosen)).characters
        assert characters.ids.shape == shape
        for column, sentence in enumerate(sentences[place] for place in chosen):
            for time, word in enumerate(sentence):
                place = characters.index[time, column]
                ids = characters.ids[: characters.lengths[place], place]
                assert spelling.vocabulary.decode(ids.tolist()) == word == words[int(characters.lengths[place])]
    characters = examples.batch(np.array([2, 0])).characters
    shard = examples.batch(np.array([2, 0])).shard(1, 2)
    assert torch.equal(shard.characters.index, characters.index[:, 1:])


def test_sequences():
    ragged = Sequences.of([[1, 2], [], np.array([3], np.int32), [4, 5, 6]])
    assert [part.tolist() for part in ragged] == [[1, 2], [], [3], [4, 5, 6]]
    assert ragged[-1].tolist() == [4, 5, 6]
    assert [part.tolist() for part in ragged.take(np.array([3, 1, 0]))] == [[4, 5, 6], [], [1, 2]]
    assert ragged.flat.nbytes == 4 * 6
    assert len(Sequences.of([])) == 0
    with pytest.raises(IndexError):
        ragged[4]


def test_what_is_refused():
    with pytest.raises(DataError, match=r"^dev:4: there is no token.*\(and so in 1 more\)"):
        refuse_empty(Sequences.of([[1], [], []]), ["dev:1", "dev:4", "dev:9"])
    with pytest.raises(DataError, match="example 2"):
        Bucketed(Examples(Sequences.of([[1], []])), batch_tokens=8)
    with pytest.raises(DataError, match="no examples"):
        Bucketed(Examples(Sequences.of([])), batch_tokens=8)
    with pytest.raises(DataError, match="2 examples came with 3 targets"):
        Examples(numbered([1, 1]), np.arange(3))
    with pytest.raises(DataError, match="example 2 has 1 tokens and 2 tags"):
        Examples(numbered([2, 1]), Sequences.of([[1, 1], [1, 1]]))
    with pytest.raises(DataError, match="no tokens"):
        Windows(np.array([], np.uint8), batch_size=2, steps=3)
    with pytest.raises(DataError, match="can't be split"):
        split(1, 0.5, 0)


@SETTINGS
@given(
    count=st.integers(1, 200),
    columns=st.integers(1, 9),
    steps=st.integers(1, 12),
    kind=st.sampled_from(["u1", "u2", "i4"]),
)
def test_every_token_is_a_target_once_and_follows_its_input(count, columns, steps, kind):
    tokens = (3 + np.arange(count)).astype(kind)
    source = Windows(tokens, batch_size=columns, steps=steps)
    windows = list(source.epoch(0))
    assert len(windows) == len(source)
    assert all(window.targets.shape == (steps, source.columns) for window in windows[:-1])
    inputs, targets = (torch.cat([getattr(window, name) for window in windows]) for name in ("inputs", "targets"))
    in_order = targets.T[targets.T != IGNORED].tolist()
    assert in_order == tokens.tolist()
    assert inputs.T[targets.T != IGNORED].tolist() == [END, *tokens[:-1].tolist()]
    assert bool((inputs[targets == IGNORED] == 0).all())
    assert (targets[:-1] != IGNORED).all()
    assert sum(window.size for window in windows) == count
    assert (source.note is None) == (count >= columns)
    for start in (1, len(windows)):
        assert all(map(equal, source.epoch(5, start=start), windows[start:]))
    shards = [windows[-1].shard(rank, 2) for rank in range(2)]
    assert sum(shard.size for shard in shards if shard) == windows[-1].size


def test_too_few_tokens_make_fewer_columns():
    source = Windows(np.arange(3, 10), batch_size=32, steps=3)
    assert source.columns == 2
    assert source.note == "7 tokens are too few for 32 columns; made 2 instead"


@SETTINGS
@given(count=st.integers(2, 60), fraction=st.floats(0, 1), seed=st.integers(0, 5))
def test_split(count, fraction, seed):
    train, held = split(count, fraction, seed)
    assert sorted([*train, *held]) == list(range(count))
    assert abs(len(held) - fraction * count) <= 1
    assert min(len(train), len(held)) >= 1
    assert all(map(np.array_equal, split(count, fraction, seed), (train, held)))


def test_split_depends_on_the_seed():
    assert len({tuple(split(100, 0.1, seed)[1]) for seed in range(5)}) == 5
