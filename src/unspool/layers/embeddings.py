"""From numbers to vectors: words, and words composed of their characters."""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from unspool.data import Characters, Tokens
from unspool.errors import SettingError
from unspool.layers.dropout import SequenceDropout, WordDropout
from unspool.layers.recurrent import Recurrent

__all__ = ["CharacterComposition", "TokenEmbedding"]


class CharacterComposition(nn.Module):
    """A word's vector, composed of its characters.

    `convolution` slides filters over the characters and keeps each filter's maximum (Santos and Zadrozny 2014; Kim et
    al. 2016, arXiv:1508.06615); `recurrent` runs an LSTM in both directions and keeps its two last states (Ling et al.
    2015, arXiv:1508.02096).

    Args:
        kind: `convolution` or `recurrent`.
        num_characters: Size of the character vocabulary.
        character_size: Width of a character's vector.
        output_size: Width of a word's vector; even for `recurrent`.
        kernel_size: Characters that a filter sees; odd.
        dropout: Share of character features dropped, one mask per word.
    """

    def __init__(
        self,
        kind: Literal["convolution", "recurrent"],
        num_characters: int,
        character_size: int,
        output_size: int,
        *,
        kernel_size: int = 3,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        if kind == "recurrent" and output_size % 2:
            raise SettingError(
                f"a width of {output_size} can't be halved between two directions: expected an even number"
            )
        self.kind, self.output_size = kind, output_size
        self.embedding = nn.Embedding(num_characters, character_size, padding_idx=0)
        self.dropout = SequenceDropout(dropout, variational=True)
        if kind == "convolution":
            self.filters = nn.Conv1d(character_size, output_size, kernel_size, padding=kernel_size // 2)
        else:
            self.recurrent = Recurrent("lstm", character_size, output_size // 2, bidirectional=True)

    def forward(self, characters: Characters) -> Tensor:
        """Compose every spelled word, then put each where it stands: (time, batch, output_size)."""
        vectors = self.dropout(self.embedding(characters.ids))  # (characters, words, character)
        if self.kind == "convolution":
            features = self.filters(vectors.permute(1, 2, 0))  # (words, output, characters)
            steps = torch.arange(features.shape[-1], device=features.device)
            padding = steps >= characters.lengths[:, None]
            words = torch.relu(features.masked_fill(padding[:, None], float("-inf")).amax(-1))
        else:
            states = self.recurrent(vectors, characters.lengths).state[0]
            words = torch.cat([direction.h for direction in states], dim=-1)
        return F.embedding(characters.index, words)


class TokenEmbedding(nn.Module):
    """The vectors of a batch of tokens: a table, the characters, or both side by side.

    Args:
        vocab_size: Number of units.
        size: Width of the table's vectors.
        characters: What composes words from characters; none if omitted.
        word_dropout: What replaces words in training; none if omitted.
        pad_id: The number of padding, whose vector is zero.
    """

    def __init__(
        self,
        vocab_size: int,
        size: int,
        *,
        characters: CharacterComposition | None = None,
        word_dropout: WordDropout | None = None,
        pad_id: int = 0,
    ) -> None:
        super().__init__()
        self.table = nn.Embedding(vocab_size, size, padding_idx=pad_id)
        nn.init.normal_(self.table.weight, std=size**-0.5)
        with torch.no_grad():
            self.table.weight[pad_id] = 0
        self.characters, self.word_dropout = characters, word_dropout
        self.output_size = size + (characters.output_size if characters is not None else 0)

    def forward(self, tokens: Tokens) -> Tensor:
        """Embed tokens: (time, batch, output_size)."""
        ids = tokens.ids if self.word_dropout is None else self.word_dropout(tokens.ids)
        vectors: Tensor = self.table(ids)
        if self.characters is None:
            return vectors
        assert tokens.characters is not None, "the batch was made without characters"
        return torch.cat([vectors, self.characters(tokens.characters).to(vectors.dtype)], dim=-1)
