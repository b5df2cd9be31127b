"""Dynamic memory network (DMN+): a recurrent layer over the sentences, then hops of attention."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from unspool.cells import Cell
from unspool.data import Stories
from unspool.errors import SettingError
from unspool.layers import Dropout, Recurrent, attend
from unspool.layers.attention_changes import attention_change
from unspool.models.answering import Answering, MemoryOutput, handles_of_hops
from unspool.models.sentence_encoder import SentenceEncoder

__all__ = ["DynamicMemoryNetwork", "likeness"]


def likeness(facts: Tensor, question: Tensor, memory: Tensor) -> Tensor:
    r"""Return the features that compare facts with the question and the memory.

    .. math:: z_i = [f_i \circ q;\ f_i \circ m;\ |f_i - q|;\ |f_i - m|]

    Source: Xiong et al. 2016, arXiv:1603.01417, section 3.3.

    Args:
        facts: :math:`f`, (slots, batch, size).
        question: :math:`q`, (batch, size).
        memory: :math:`m`, (batch, size).

    Returns:
        (slots, batch, 4 size).
    """
    return torch.cat([facts * question, facts * memory, (facts - question).abs(), (facts - memory).abs()], dim=-1)


class DynamicMemoryNetwork(Answering):
    r"""Dynamic memory network: a bidirectional cell over the sentences, then hops of attention over its outputs.

    .. math::
        f_i &= \overrightarrow{\mathrm{cell}}(s_i) + \overleftarrow{\mathrm{cell}}(s_i) \\
        g_i^k &= \mathrm{softmax}_i\left(w^k \tanh(W^k z_i + b^k)\right), \quad c^k = \sum_i g_i^k f_i \\
        m^k &= \mathrm{ReLU}(U^k [m^{k-1}; c^k; q] + d^k), \quad m^0 = q \\
        \hat a &= \mathrm{softmax}(V [q; m^K] + e)

    with :math:`s_i` the encoded sentences, :math:`q` the encoded question and :math:`z` of `likeness`. The first line
    combines sentences, so that the network can relate facts from different sentences. It also encodes their order:
    there are no ages.

    Source: Xiong et al. 2016, arXiv:1603.01417, section 3 (DMN+), with its soft attention. Differs: any cell
    replaces the GRU; sentences and question share an encoder; the answer is one of those in the training data.

    Args:
        vocab_size: Number of words.
        size: Width of all vectors.
        answers: Number of possible answers.
        hops: Number of hops, :math:`K`, each with its own weights.
        encoder: `bag`, `position`, or a cell's name or class; see `SentenceEncoder`.
        fusion: Cell over the sentences, by name or class.
        dropout: Dropout rate of the encoded sentences and before the output layer.

    Raises:
        SettingError: If a size is less than 1, or there is no such cell.
    """

    def __init__(
        self,
        vocab_size: int,
        size: int,
        answers: int,
        *,
        hops: int = 3,
        encoder: str | type[Cell[Any]] = "position",
        fusion: str | type[Cell[Any]] = "gru",
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        if min(vocab_size, size, answers, hops) < 1:
            raise SettingError(f"{hops} hops of {size} for {answers} answers: expected at least 1 of each")
        self.size, self.hops, self.looks = size, hops, handles_of_hops(hops)
        self.table = nn.Embedding(vocab_size, size, padding_idx=0)
        self.encoder = SentenceEncoder(encoder, size)
        self.fusion = Recurrent(fusion, size, size, bidirectional=True)
        self.dropout = Dropout(dropout)
        self.compare = nn.ModuleList(nn.Linear(4 * size, size) for _ in range(hops))
        self.score = nn.ModuleList(nn.Linear(size, 1, bias=False) for _ in range(hops))
        self.update = nn.ModuleList(nn.Linear(3 * size, size) for _ in range(hops))
        self.output = nn.Linear(2 * size, answers)

    def forward(self, batch: Stories) -> MemoryOutput:
        """Return the logits of every answer to every question."""
        question = self.encoder(self.table(batch.questions.ids), batch.questions.lengths)
        sentences = self.encoder(self.table(batch.sentences.ids), batch.sentences.lengths)
        slots = self.dropout(F.embedding(batch.index, sentences))
        both: Tensor = self.fusion(slots, batch.lengths).outputs
        facts = both[..., : self.size] + both[..., self.size :]
        memory, mask, hops = question, batch.mask.T, []
        facts_by_batch = facts.transpose(0, 1)
        for compare, score, update, look in zip(self.compare, self.score, self.update, self.looks, strict=True):
            scores = score(torch.tanh(compare(likeness(facts, question, memory)))).squeeze(-1)
            context, weights = attend(scores.T.unsqueeze(1), facts_by_batch, mask, attention_change(look))
            memory = torch.relu(update(torch.cat([memory, context.squeeze(1), question], dim=-1)))
            hops.append(weights.squeeze(1).T)
        logits = self.output(self.dropout(torch.cat([question, memory], dim=-1)))
        return MemoryOutput(logits, torch.stack(hops))

    def extra_repr(self) -> str:
        return f"hops={self.hops}, size={self.size}"
