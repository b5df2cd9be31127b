"""Embeddings of tokens: an embedding table, and words composed of characters."""

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
    """Word vectors from characters.

    `convolution` takes the maximum of each convolution filter over the characters (Santos and Zadrozny 2014; Kim et
    al. 2016, arXiv:1508.06615). `recurrent` takes the two last states of a bidirectional LSTM (Ling et al. 2015,
    arXiv:1508.02096).

    Args:
        kind: `convolution` or `recurrent`.
        num_characters: Size of the character vocabulary.
        character_size: Width of a character's vector.
        output_size: Width of a word's vector; even for `recurrent`.
        kernel_size: Width of a filter in characters; odd.
        dropout: Dropout rate of character features, one mask per word.
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
            raise SettingError(f"output_size = {output_size}: expected an even number, half for each direction")
        self.kind, self.output_size = kind, output_size
        self.embedding = nn.Embedding(num_characters, character_size, padding_idx=0)
        self.dropout = SequenceDropout(dropout, variational=True)
        if kind == "convolution":
            self.filters = nn.Conv1d(character_size, output_size, kernel_size, padding=kernel_size // 2)
        else:
            self.recurrent = Recurrent("lstm", character_size, output_size // 2, bidirectional=True)

    def forward(self, characters: Characters) -> Tensor:
        """Compose each distinct word once; return the vectors of all tokens, (time, batch, output_size)."""
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
    """Embed a batch of tokens: by a table, and by characters beside it.

    Args:
        vocab_size: Number of units.
        size: Width of the table's vectors.
        characters: Composition of words from characters. None: table only.
        word_dropout: Word dropout in training. None: no word dropout.
        pad_id: Id of padding, whose vector is zero.
        table: Table in place of a new one, of `vocab_size` rows with `size` columns.
    """

    def __init__(
        self,
        vocab_size: int,
        size: int,
        *,
        characters: CharacterComposition | None = None,
        word_dropout: WordDropout | None = None,
        pad_id: int = 0,
        table: nn.Embedding | None = None,
    ) -> None:
        super().__init__()
        self.table = table if table is not None else nn.Embedding(vocab_size, size, padding_idx=pad_id)
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
