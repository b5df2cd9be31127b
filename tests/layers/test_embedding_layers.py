"""Words from characters against a loop over words; tables; what stands side by side."""

from __future__ import annotations

import pytest
import torch
from torch.testing import assert_close

from cases import TOLERANCE
from unspool.data import Characters, Tokens
from unspool.layers import CharacterComposition, TokenEmbedding, WordDropout

WORDS = [[3, 5, 4, 9, 2, 7], [6], [8, 3], [2, 2, 2, 5]]
INDEX = torch.tensor([[0, 3], [2, 1], [1, 0], [3, 0], [0, 0]])


def spell(words: list[list[int]], time: int) -> Characters:
    ids = torch.zeros(time, len(words), dtype=torch.long)
    for column, word in enumerate(words):
        ids[: len(word), column] = torch.tensor(word)
    return Characters(ids, torch.tensor([len(word) for word in words]), INDEX)


def compose(layer: CharacterComposition, word: list[int]) -> torch.Tensor:
    vectors = layer.embedding.weight[torch.tensor(word)]
    if layer.kind == "convolution":
        filters, bias = layer.filters.weight, layer.filters.bias
        side = filters.shape[-1] // 2
        zeros = torch.zeros(side, vectors.shape[1])
        padded = torch.cat([zeros, vectors, zeros])
        windows = [padded[t : t + filters.shape[-1]].T for t in range(len(word))]
        scores = torch.stack([(filters * window).sum((1, 2)) + bias for window in windows])
        return scores.amax(0).clamp(min=0)
    finals = []
    for reads, cell in zip((vectors, vectors.flip(0)), layer.recurrent.layers[0], strict=True):
        state = cell.initial_state(1)
        for vector in reads:
            _, state = cell.step(vector[None], state)
        finals.append(state.h[0])
    return torch.cat(finals)


@pytest.mark.parametrize("time", [6, 11], ids=["tight", "padded"])
@pytest.mark.parametrize(("kind", "kernel_size"), [("convolution", 3), ("convolution", 5), ("recurrent", 3)])
def test_every_word_is_composed_of_its_own_characters(kind, kernel_size, time):
    layer = CharacterComposition(kind, 10, 4, 6, kernel_size=kernel_size)
    vectors = layer(spell(WORDS, time))
    expected = [compose(layer, word) for word in WORDS]
    assert vectors.shape == (5, 2, 6)
    for t in range(5):
        for column in range(2):
            assert_close(vectors[t, column], expected[INDEX[t, column]], **TOLERANCE[torch.float32])


def test_character_dropout_keeps_one_mask_per_word():
    layer = CharacterComposition("convolution", 10, 40, 6, dropout=0.5)
    with torch.no_grad():
        layer.embedding.weight[1:] = 1
    seen = []
    layer.filters.register_forward_pre_hook(lambda _, arguments: seen.append(arguments[0]))
    layer(spell(WORDS, 6))
    first = seen[0][0]  # the longest word, (character_size, characters)
    assert_close(first.unique(), torch.tensor([0.0, 2.0]))
    assert bool((first == first[:, :1]).all())
    assert not torch.equal(seen[0][1][:, 0], first[:, 0])


def test_table_and_characters_stand_side_by_side():
    characters = CharacterComposition("recurrent", 10, 4, 6)
    embedding = TokenEmbedding(12, 5, characters=characters)
    ids = torch.tensor([[7, 11], [3, 2], [2, 0], [11, 0], [7, 0]])
    tokens = Tokens(ids, torch.tensor([5, 2]), spell(WORDS, 6))
    vectors = embedding(tokens)
    assert embedding.output_size == vectors.shape[-1] == 11
    assert torch.equal(vectors[..., :5], embedding.table.weight[ids])
    assert torch.equal(vectors[..., 5:], characters(tokens.characters))


def test_padding_is_zero_and_learns_nothing():
    embedding = TokenEmbedding(50, 30, pad_id=3)
    ids = torch.tensor([[3, 4], [5, 3]])
    vectors = embedding(Tokens(ids, torch.tensor([2, 1])))
    assert torch.count_nonzero(vectors[ids == 3]) == 0
    vectors.sum().backward()
    assert embedding.table.weight.grad[3].abs().sum() == 0
    assert embedding.table.weight.grad[4].abs().sum() > 0
    others = embedding.table.weight[torch.arange(50) != 3]
    assert others.std().item() == pytest.approx(30**-0.5, rel=0.1)


def test_word_dropout_reaches_the_table_but_not_the_characters():
    characters = CharacterComposition("convolution", 10, 4, 6)
    embedding = TokenEmbedding(12, 5, characters=characters, word_dropout=WordDropout(0.999, unknown=1))
    tokens = Tokens(torch.full((5, 2), 7), torch.tensor([5, 5]), spell(WORDS, 6))
    vectors = embedding(tokens)
    assert torch.equal(vectors[..., :5], embedding.table.weight[1].expand(5, 2, -1))
    assert torch.equal(vectors[..., 5:], characters(tokens.characters))
    assert torch.equal(embedding.eval()(tokens)[..., :5], embedding.table.weight[7].expand(5, 2, -1))
