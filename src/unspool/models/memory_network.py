"""Memory networks for questions about stories: end-to-end (MemN2N), gated, and key–value."""

from __future__ import annotations

from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from unspool.cells import Cell
from unspool.data import Stories
from unspool.errors import SettingError
from unspool.layers import masked_softmax
from unspool.layers.attention_changes import WeightChange, attention_change
from unspool.models.answering import Answering, MemoryOutput, handles_of_hops
from unspool.models.loss import Loss
from unspool.models.sentence_encoder import SentenceEncoder
from unspool.randomness import generator_on

__all__ = ["KeyValueMemoryNetwork", "MemoryNetwork", "hop"]

_START = 0.1  # standard deviation of initial weights, as in Sukhbaatar et al. 2015


def hop(
    query: Tensor,
    keys: Tensor,
    values: Tensor,
    mask: Tensor,
    *,
    linear: bool = False,
    change: WeightChange | None = None,
) -> tuple[Tensor, Tensor]:
    r"""Read a memory once: attention of a query over its slots.

    .. math:: p_i = \mathrm{softmax}(u^\top m_i), \qquad o = \sum_i p_i c_i

    Source: Sukhbaatar et al. 2015, arXiv:1503.08895, equations 1 and 2.

    Args:
        query: :math:`u`, (batch, size).
        keys: :math:`m`, (slots, batch, size).
        values: :math:`c`, (slots, batch, size).
        mask: True at valid slots, bool (slots, batch).
        linear: Whether :math:`p_i = u^\top m_i`, without a softmax.
        change: Change of the weights, (batch, 1, slots); see `unspool.layers.change_attention`. None: no change.

    Returns:
        The output :math:`o`, (batch, size), and the weights :math:`p`, (slots, batch), zero at masked slots.
    """
    scores = (keys * query).sum(-1)
    weights = scores.masked_fill(~mask, 0) if linear else masked_softmax(scores, mask, dim=0)
    if change is not None:
        weights = change(weights.T.unsqueeze(1)).squeeze(1).T
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
    all :math:`C^k`. :math:`T(i)` encodes the age of sentence :math:`i`; that of the newest is 0.

    If `gated`, each hop has a gate that mixes its output and the query, unit by unit:

    .. math::
        T^k(u^k) &= \sigma(W_T^k u^k + b_T^k) \\
        u^{k+1} &= o^k \odot T^k(u^k) + u^k \odot (1 - T^k(u^k))

    Source: Sukhbaatar et al. 2015, arXiv:1503.08895, sections 2 and 4.1. Differs: the answer is one of those in
    the training data, rather than any word; any cell may encode the sentences. Gates: Liu and Perez 2017,
    arXiv:1610.04211, equations 7 and 8, separate for each hop. Differs: with `layer-wise`, the gate mixes the output
    with :math:`H u^k` and still reads :math:`u^k`.

    Args:
        vocab_size: Number of words.
        size: Width of all vectors, :math:`d`.
        answers: The word id of each possible answer, int64 (answers,).
        hops: Number of hops, :math:`K`.
        slots: Number of distinct ages; older sentences have the last one.
        encoder: `bag`, `position`, or a cell's name or class; see `SentenceEncoder`.
        tying: `adjacent` or `layer-wise`.
        time_noise: Fraction of empty slots inserted between sentences in training, which makes ages random.
        linear_examples: Number of first training examples without the softmax of the hops (linear start). A network
            saved before that number stays linear.
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
        self.looks = handles_of_hops(hops)
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
        """Whether the hops still run without softmax (linear start)."""
        return int(self.seen) < self.linear_examples

    def forward(self, batch: Stories) -> MemoryOutput:
        """Return the logits of every answer to every question."""
        adjacent, mask, linear = self.tying == "adjacent", batch.mask, self.linear
        sentences = self._sentences(batch).unbind(2)
        words = self.tables[0 if adjacent else 2](batch.questions.ids)
        query = self.encoder(words, batch.questions.lengths)
        weights_by_hop, gates = [], []
        for k in range(self.hops):
            keys, values = (sentences[k], sentences[k + 1]) if adjacent else (sentences[0], sentences[1])
            change = attention_change(self.looks[k])
            output, weights = hop(query, keys, values, mask, linear=linear, change=change)
            residual = query if adjacent else self.between(query)
            if self.gated:
                gate = torch.sigmoid(self.gates[k](query))
                query = output * gate + residual * (1 - gate)
                gates.append(gate)
            else:
                query = output + residual
            weights_by_hop.append(weights)
        logits = query @ self.tables[-1].weight[self.answers].T if adjacent else self.output(query)  # type: ignore[index]
        return MemoryOutput(logits, torch.stack(weights_by_hop), torch.stack(gates) if self.gated else None)

    def loss(self, batch: Stories, carry: Any = None) -> Loss:
        """Return -log p of the target answers, summed over questions, in nats; counts examples for the linear start."""
        result = super().loss(batch, carry)
        if self.training:
            self.seen += len(batch.answers)
        return result

    def _sentences(self, batch: Stories) -> Tensor:
        """Return sentence plus age of every slot for all tables, (slots, batch, tables, size).

        One look-up in the concatenated tables is faster than one per table.
        """
        count = len(self.ages)
        words = torch.cat([table.weight for table in self.tables[:count]], dim=1)  # type: ignore[misc]
        ages = torch.cat([table.weight for table in self.ages], dim=1)  # type: ignore[misc]
        # the padding index keeps the row of padding without a gradient, as each table does by itself
        vectors = F.embedding(batch.sentences.ids, words, padding_idx=0)
        vectors = vectors.view(*batch.sentences.ids.shape, count, self.size)
        sentences = self.encoder(vectors, batch.sentences.lengths).flatten(1)
        sentences = F.embedding(batch.index, sentences) + F.embedding(self._ages(batch), ages)
        return sentences.view(*batch.index.shape, count, self.size)

    def _ages(self, batch: Stories) -> Tensor:
        """Return the age of each sentence, (slots, batch), in sentences; with time noise in training."""
        mask = batch.mask
        ages = (batch.lengths - 1 - torch.arange(len(mask), device=mask.device)[:, None]).clamp_min(0)
        if self.training and self.time_noise:
            numbers = torch.rand(mask.shape, device=mask.device, generator=generator_on(mask.device))
            blanks = (numbers < self.time_noise) & mask
            ages = ages + blanks.flip(0).cumsum(0).flip(0)
        return ages.clamp_max(self.slots - 1)

    def extra_repr(self) -> str:
        return f"hops={self.hops}, slots={self.slots}, tying={self.tying}{', gated' if self.gated else ''}"


class KeyValueMemoryNetwork(Answering):
    r"""Key–value memory network: separate encodings of keys and values; a matrix updates the query at each hop.

    .. math::
        q_1 &= A \Phi(x) \\
        p_i &= \mathrm{softmax}(q_j^\top A \Phi_K(k_i)), \quad o = \sum_i p_i A \Phi_V(v_i) \\
        q_{j+1} &= R_j (q_j + o) \\
        \hat a &= \mathrm{softmax}(q_{H+1}^\top B \Phi_Y(y))

    Here keys and values are the sentences of the story. :math:`\Phi_K` and :math:`\Phi_V` are their encodings plus a
    vector for their age, separate for keys and values; :math:`B = A`.

    Source: Miller et al. 2016, arXiv:1606.03126, section 3.1, where :math:`q` in the third line has no index. Differs:
    ages, since stories need them.

    Args:
        vocab_size: Number of words.
        size: Width of all vectors.
        answers: The word id of each possible answer, int64 (answers,).
        hops: Number of hops, :math:`H`.
        slots: Number of distinct ages; older sentences have the last one.
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
        self.looks = handles_of_hops(hops)
        self.table = nn.Embedding(vocab_size, size, padding_idx=0)
        self.key_ages, self.value_ages = nn.Embedding(slots, size), nn.Embedding(slots, size)
        self.encoder = SentenceEncoder(encoder, size)
        self.moves = nn.ModuleList(nn.Linear(size, size, bias=False) for _ in range(hops))
        self.register_buffer("answers", answers, persistent=False)
        _scatter(self)
        for move in self.moves:
            nn.init.eye_(move.weight)  # type: ignore[arg-type]

    def forward(self, batch: Stories) -> MemoryOutput:
        """Return the logits of every answer to every question."""
        mask = batch.mask
        ages = (batch.lengths - 1 - torch.arange(len(mask), device=mask.device)[:, None]).clamp(0, self.slots - 1)
        sentences = self.encoder(self.table(batch.sentences.ids), batch.sentences.lengths)
        sentences = F.embedding(batch.index, sentences)
        keys, values = sentences + self.key_ages(ages), sentences + self.value_ages(ages)
        query, weights_by_hop = self.encoder(self.table(batch.questions.ids), batch.questions.lengths), []
        for move, look in zip(self.moves, self.looks, strict=True):
            output, weights = hop(query, keys, values, mask, change=attention_change(look))
            query = move(query + output)
            weights_by_hop.append(weights)
        return MemoryOutput(query @ self.table.weight[self.answers].T, torch.stack(weights_by_hop))

    def extra_repr(self) -> str:
        return f"hops={self.hops}, slots={self.slots}"


def _scatter(model: nn.Module) -> None:
    """Initialise tables and matrices near zero; cells keep their own initialisation."""
    for module in model.modules():
        if isinstance(module, nn.Embedding | nn.Linear):
            nn.init.normal_(module.weight, std=_START)
        if isinstance(module, nn.Embedding) and module.padding_idx is not None:
            with torch.no_grad():
                module.weight[module.padding_idx] = 0
