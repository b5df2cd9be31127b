"""Networks that answer a question about a story by looking its sentences up, hop after hop."""

from __future__ import annotations

from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from unspool.cells import Cell
from unspool.data import Stories
from unspool.errors import SettingError
from unspool.layers import masked_softmax
from unspool.models.answering import Answering, MemoryOutput
from unspool.models.loss import Loss
from unspool.models.sentence_encoder import SentenceEncoder
from unspool.randomness import generator_on

__all__ = ["KeyValueMemoryNetwork", "MemoryNetwork", "hop"]

_START = 0.1  # spread of all weights at the start, as in Sukhbaatar et al. 2015


def hop(query: Tensor, keys: Tensor, values: Tensor, mask: Tensor, *, linear: bool = False) -> tuple[Tensor, Tensor]:
    r"""Look a query up in a memory once.

    .. math:: p_i = \mathrm{softmax}(u^\top m_i), \qquad o = \sum_i p_i c_i

    Source: Sukhbaatar et al. 2015, arXiv:1503.08895, equations 1 and 2.

    Args:
        query: :math:`u`, (batch, size).
        keys: :math:`m`, (slots, batch, size).
        values: :math:`c`, (slots, batch, size).
        mask: True where a slot holds something, (slots, batch).
        linear: Whether :math:`p_i = u^\top m_i`, without a softmax.

    Returns:
        What was found, :math:`o`, (batch, size), and the weights :math:`p`, (slots, batch), zero where the mask is.
    """
    scores = (keys * query).sum(-1)
    weights = scores.masked_fill(~mask, 0) if linear else masked_softmax(scores, mask, dim=0)
    return (weights.unsqueeze(-1) * values).sum(0), weights


class MemoryNetwork(Answering):
    r"""End-to-end memory network.

    .. math::
        m_i &= \sum_j l_j \odot A^k x_{ij} + T^k_A(i), \quad c_i = \sum_j l_j \odot C^k x_{ij} + T^k_C(i) \\
        u^1 &= \sum_j l_j \odot B q_j \\
        p_i &= \mathrm{softmax}((u^k)^\top m_i), \quad o^k = \sum_i p_i c_i \\
        u^{k+1} &= u^k + o^k \quad \text{(adjacent)}, \qquad u^{k+1} = H u^k + o^k \quad \text{(layer-wise)} \\
        \hat a &= \mathrm{softmax}(W u^{K+1})

    `adjacent` ties :math:`A^{k+1} = C^k`, :math:`B = A^1`, :math:`W^\top = C^K`; `layer-wise` ties all :math:`A^k` and
    all :math:`C^k`. :math:`T(i)` says how long ago sentence :math:`i` was told, the newest being 0.

    If `gated`, a gate for each hop says, unit by unit, how much of what was found takes the place of the query:

    .. math::
        T^k(u^k) &= \sigma(W_T^k u^k + b_T^k) \\
        u^{k+1} &= o^k \odot T^k(u^k) + u^k \odot (1 - T^k(u^k))

    Source: Sukhbaatar et al. 2015, arXiv:1503.08895, sections 2 and 4.1. Differs: the answer is chosen among the
    answers of the training data, rather than among all words; any cell may encode the sentences. The gates: Liu and
    Perez 2017, arXiv:1610.04211, equations 7 and 8, those of each hop its own. Differs: layer-wise, what is kept is
    :math:`H u^k`, as without gates; the gate itself reads :math:`u^k`.

    Args:
        vocab_size: Number of words.
        size: Width of all vectors, :math:`d`.
        answers: The word id of each possible answer, int64 (answers,).
        hops: How often the memory is looked up, :math:`K`.
        slots: Ages that are told apart; older sentences count as that old.
        encoder: `bag`, `position`, or a cell's name or class; see `SentenceEncoder`.
        tying: `adjacent` or `layer-wise`.
        time_noise: Share of empty slots put between sentences in training, so that ages never come quite the same.
        linear_examples: Training examples, from the first, that are answered without the softmax of the hops (linear
            start); a network that was saved before it had seen so many stays linear.
        gated: Whether each hop has a gate.

    Raises:
        SettingError: If the tying is unknown or a size less than 1.
    """

    answers: Tensor
    seen: Tensor

    def __init__(
        self,
        vocab_size: int,
        size: int,
        answers: Tensor,
        *,
        hops: int = 3,
        slots: int = 50,
        encoder: str | type[Cell[Any]] = "position",
        tying: Literal["adjacent", "layer-wise"] = "adjacent",
        time_noise: float = 0.1,
        linear_examples: int = 0,
        gated: bool = False,
    ) -> None:
        super().__init__()
        if tying not in ("adjacent", "layer-wise") or min(vocab_size, size, len(answers), hops, slots) < 1:
            raise SettingError(
                f"{hops} hops over {slots} slots of {size}, tying {tying!r}: expected at least 1 of each, and tying "
                f"adjacent or layer-wise"
            )
        self.size, self.hops, self.slots, self.tying = size, hops, slots, tying
        self.time_noise, self.linear_examples, self.gated = time_noise, linear_examples, gated
        self.encoder = SentenceEncoder(encoder, size)
        count = hops + 1 if tying == "adjacent" else 3  # layer-wise: A, C, B
        self.tables = nn.ModuleList(nn.Embedding(vocab_size, size, padding_idx=0) for _ in range(count))
        self.ages = nn.ModuleList(nn.Embedding(slots, size) for _ in range(count if tying == "adjacent" else 2))
        if tying == "layer-wise":
            self.between = nn.Linear(size, size, bias=False)
            self.output = nn.Linear(size, len(answers), bias=False)
        self.register_buffer("answers", answers, persistent=False)
        self.register_buffer("seen", torch.zeros((), dtype=torch.long))
        _scatter(self)
        # drawn last, so that all else starts alike with gates and without
        self.gates = nn.ModuleList(nn.Linear(size, size) for _ in range(hops if gated else 0))
        _scatter(self.gates)
        for gate in self.gates:
            nn.init.zeros_(gate.bias)  # type: ignore[arg-type]

    @property
    def linear(self) -> bool:
        """Whether the hops are still without their softmax."""
        return int(self.seen) < self.linear_examples

    def forward(self, batch: Stories) -> MemoryOutput:
        """Score every answer to every question."""
        adjacent, mask, linear = self.tying == "adjacent", batch.mask, self.linear
        told = self._told(batch).unbind(2)
        asked = self.tables[0 if adjacent else 2](batch.questions.ids)
        query = self.encoder(asked, batch.questions.lengths)
        looked, gates = [], []
        for k in range(self.hops):
            keys, values = (told[k], told[k + 1]) if adjacent else (told[0], told[1])
            found, weights = hop(query, keys, values, mask, linear=linear)
            kept = query if adjacent else self.between(query)
            if self.gated:
                gate = torch.sigmoid(self.gates[k](query))
                query = found * gate + kept * (1 - gate)
                gates.append(gate)
            else:
                query = found + kept
            looked.append(weights)
        logits = query @ self.tables[-1].weight[self.answers].T if adjacent else self.output(query)  # type: ignore[index]
        return MemoryOutput(logits, torch.stack(looked), torch.stack(gates) if self.gated else None)

    def loss(self, batch: Stories, carry: Any = None) -> Loss:
        """-log p of the right answers, summed over questions, in nats; counts examples of the linear start."""
        result = super().loss(batch, carry)
        if self.training:
            self.seen += len(batch.answers)
        return result

    def _told(self, batch: Stories) -> Tensor:
        """Every slot's sentence with its age, by the tables of all keys and values, (slots, batch, tables, size).

        All tables side by side make one: a look-up of wide rows costs little more than one of narrow rows.
        """
        count = len(self.ages)
        words = torch.cat([table.weight for table in self.tables[:count]], dim=1)  # type: ignore[misc]
        ages = torch.cat([table.weight for table in self.ages], dim=1)  # type: ignore[misc]
        # the padding index keeps the row of the padding without a gradient, as the tables by themselves do
        spelled = F.embedding(batch.sentences.ids, words, padding_idx=0)
        spelled = spelled.view(*batch.sentences.ids.shape, count, self.size)
        sentences = self.encoder(spelled, batch.sentences.lengths).flatten(1)
        told = F.embedding(batch.index, sentences) + F.embedding(self._ages(batch), ages)
        return told.view(*batch.index.shape, count, self.size)

    def _ages(self, batch: Stories) -> Tensor:
        """How many sentences ago each was told, (slots, batch); in training as if some came between."""
        mask = batch.mask
        ages = (batch.lengths - 1 - torch.arange(len(mask), device=mask.device)[:, None]).clamp_min(0)
        if self.training and self.time_noise:
            drawn = torch.rand(mask.shape, device=mask.device, generator=generator_on(mask.device))
            blanks = (drawn < self.time_noise) & mask
            ages = ages + blanks.flip(0).cumsum(0).flip(0)
        return ages.clamp_max(self.slots - 1)

    def extra_repr(self) -> str:
        return f"hops={self.hops}, slots={self.slots}, tying={self.tying}{', gated' if self.gated else ''}"


class KeyValueMemoryNetwork(Answering):
    r"""Key–value memory network: what is looked for and what is found are encoded apart; a matrix moves the query on.

    .. math::
        q_1 &= A \Phi(x) \\
        p_i &= \mathrm{softmax}(q_j^\top A \Phi_K(k_i)), \quad o = \sum_i p_i A \Phi_V(v_i) \\
        q_{j+1} &= R_j (q_j + o) \\
        \hat a &= \mathrm{softmax}(q_{H+1}^\top B \Phi_Y(y))

    Here keys and values are the story's sentences, :math:`\Phi_K` and :math:`\Phi_V` their encodings, to which a vector
    for their age is added, one for keys and one for values; :math:`B = A`.

    Source: Miller et al. 2016, arXiv:1606.03126, section 3.1, where :math:`q` in the third line has no index. Differs:
    ages, since stories need them.

    Args:
        vocab_size: Number of words.
        size: Width of all vectors.
        answers: The word id of each possible answer, int64 (answers,).
        hops: How often the memory is looked up, :math:`H`.
        slots: Ages that are told apart; older sentences count as that old.
        encoder: `bag`, `position`, or a cell's name or class, for questions, keys and values; see `SentenceEncoder`.
    """

    answers: Tensor

    def __init__(
        self,
        vocab_size: int,
        size: int,
        answers: Tensor,
        *,
        hops: int = 3,
        slots: int = 50,
        encoder: str | type[Cell[Any]] = "position",
    ) -> None:
        super().__init__()
        if min(vocab_size, size, len(answers), hops, slots) < 1:
            raise SettingError(f"{hops} hops over {slots} slots of {size}: expected at least 1 of each")
        self.hops, self.slots = hops, slots
        self.table = nn.Embedding(vocab_size, size, padding_idx=0)
        self.key_ages, self.value_ages = nn.Embedding(slots, size), nn.Embedding(slots, size)
        self.encoder = SentenceEncoder(encoder, size)
        self.moves = nn.ModuleList(nn.Linear(size, size, bias=False) for _ in range(hops))
        self.register_buffer("answers", answers, persistent=False)
        _scatter(self)
        for move in self.moves:
            nn.init.eye_(move.weight)  # type: ignore[arg-type]

    def forward(self, batch: Stories) -> MemoryOutput:
        """Score every answer to every question."""
        mask = batch.mask
        ages = (batch.lengths - 1 - torch.arange(len(mask), device=mask.device)[:, None]).clamp(0, self.slots - 1)
        told = self.encoder(self.table(batch.sentences.ids), batch.sentences.lengths)
        told = F.embedding(batch.index, told)
        keys, values = told + self.key_ages(ages), told + self.value_ages(ages)
        query, looked = self.encoder(self.table(batch.questions.ids), batch.questions.lengths), []
        for move in self.moves:
            found, weights = hop(query, keys, values, mask)
            query = move(query + found)
            looked.append(weights)
        return MemoryOutput(query @ self.table.weight[self.answers].T, torch.stack(looked))

    def extra_repr(self) -> str:
        return f"hops={self.hops}, slots={self.slots}"


def _scatter(model: nn.Module) -> None:
    """Start tables and matrices near zero; cells keep their own start."""
    for module in model.modules():
        if isinstance(module, nn.Embedding | nn.Linear):
            nn.init.normal_(module.weight, std=_START)
        if isinstance(module, nn.Embedding) and module.padding_idx is not None:
            with torch.no_grad():
                module.weight[module.padding_idx] = 0
