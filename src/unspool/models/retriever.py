"""Retriever: score questions against keys, by tf–idf with learned weights and by dense vectors."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, NamedTuple, Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from unspool.data import Bags
from unspool.errors import SettingError
from unspool.layers import KeyValueMemory
from unspool.models.loss import Loss

__all__ = ["EncodedBags", "Lookups", "Retriever"]


@dataclass(frozen=True, slots=True, eq=False)
class Lookups:
    """Batch of a retriever: questions, keys, and the target key of each question."""

    queries: Bags
    keys: Bags
    targets: Tensor
    """Index of the target key, int64 (queries,)."""
    ignored: Tensor | None = None
    """True at keys to exclude from a question's loss, bool (queries, keys). None: no exclusion."""

    @property
    def size(self) -> int:
        """Number of questions."""
        return len(self.targets)

    def to(self, device: torch.device | str) -> Lookups:
        """Return the batch on a device."""
        ignored = None if self.ignored is None else self.ignored.to(device)
        return Lookups(self.queries.to(device), self.keys.to(device), self.targets.to(device), ignored)

    def shard(self, rank: int, world: int) -> Self | None:
        """Return every `world`-th question from `rank` on, with all keys; None if there is none."""
        if rank >= self.size:
            return None
        ignored = None if self.ignored is None else self.ignored[rank::world]
        return replace(
            self, queries=self.queries.every(world, rank), targets=self.targets[rank::world], ignored=ignored
        )


class EncodedBags(NamedTuple):
    """Encoded bags: normalised sparse values and dense vectors."""

    ids: Tensor  # int64 (entries,)
    values: Tensor  # (entries,); squares of a bag sum to its known fraction, 1 without unknown entries
    offsets: Tensor  # int64 (batch + 1,)
    vectors: Tensor  # (batch, size); norm equals that of the values with vectors
    shares: Tensor  # (batch,); ratio of that norm to the norm of all values, between 0 and 1


class Retriever(nn.Module):
    r"""Score questions against keys, both as bags of words and subwords.

    .. math::
        x_f &= e^{\theta_f} v_f \big/ \sqrt{\textstyle\sum_g (e^{\theta_g} v_g)^2 + u} \\
        e &= \lVert x' \rVert \, \frac{P^\top x'}{\lVert P^\top x' \rVert}, \quad
            \rho = \frac{\lVert x' \rVert}{\lVert x \rVert} \\
        \alpha_i &= \frac{x^\top x_i + \gamma\, e^\top e_i}{1 + \gamma \rho \rho_i}

    A bag has values :math:`v`, and its unknown entries have the weight :math:`u`. :math:`x'` is :math:`x` without
    entries that were added after training, which have no vectors; without such entries, :math:`\rho = 1`. The first
    term compares common entries, and is tf–idf before training, with :math:`\theta = 0`. The second term compares dense
    vectors. Scores lie between -1 and 1; a key has 1 with its own question. The loss is the cross-entropy over keys,
    :math:`-\ln \mathrm{softmax}(\beta \alpha)_i`, with :math:`\beta` learned (`KeyValueMemory`).

    Source: two encoders that share their weights, trained by softmax over the batch's keys, as in Henderson et al.
    2017, arXiv:1705.00652; sums of vectors of words and pieces as in Bojanowski et al. 2017, arXiv:1607.04606.

    Args:
        num_entries: Size of the vocabulary.
        size: Width of the vectors :math:`e`.
        scale: Initial value of :math:`\beta`, above 0.
        balance: The weight :math:`\gamma` of the vectors, at least 0. It is not learned: it would grow by overfitting
            to the training questions.
    """

    num_vectors: Tensor
    """Number of entries with vectors, the first ones; the others were added after training."""

    def __init__(self, num_entries: int, size: int = 64, *, scale: float = 20.0, balance: float = 0.5) -> None:
        super().__init__()
        if num_entries < 1 or size < 1 or not balance >= 0:
            raise SettingError(
                f"num_entries = {num_entries}, size = {size}, balance = {balance}: expected sizes of at least 1 and a "
                f"balance of at least 0"
            )
        self.balance = balance
        self.importance = nn.Parameter(torch.zeros(num_entries))
        self.projection = nn.Parameter(torch.empty(num_entries, size).normal_(std=_SPREAD))
        self.register_buffer("num_vectors", torch.tensor(num_entries))
        self.memory = KeyValueMemory(scale=scale, learn_scale=True)

    @torch.no_grad()
    def begin_with(self, directions: Tensor) -> None:
        """Initialise the projection, (entries, size), from directions, rescaled to the usual mean square."""
        spread = directions.square().mean().sqrt().clamp_min(torch.finfo(directions.dtype).tiny)
        self.projection.copy_(directions * (_SPREAD / spread))

    @torch.no_grad()
    def grown(self, num_entries: int) -> Retriever:
        """Return a copy for a larger vocabulary; new entries have tf–idf weights alone, without vectors."""
        more = num_entries - len(self.importance)
        new = Retriever(num_entries, self.projection.shape[1], balance=self.balance)
        tensors = dict(self.state_dict())
        tensors["importance"] = F.pad(tensors["importance"], (0, more))
        tensors["projection"] = F.pad(tensors["projection"], (0, 0, 0, more))
        new.load_state_dict(tensors)
        return new.to(self.importance.device).train(self.training)

    def encode(self, bags: Bags) -> EncodedBags:
        """Encode bags; memory grows with their number of entries only."""
        values = bags.values * self.importance[bags.ids].exp()
        rows, none = bags.rows, values.new_zeros(len(bags))
        values = values / (none.index_add(0, rows, values.square()) + bags.unknown).clamp_min(_LEAST).sqrt()[rows]
        old = torch.where(bags.ids < self.num_vectors, values, 0)
        vectors = F.embedding_bag(
            bags.ids, self.projection, bags.offsets, mode="sum", per_sample_weights=old, include_last_offset=True
        )
        whole, part = (none.index_add(0, rows, each.square()).clamp_min(_LEAST).sqrt() for each in (values, old))
        return EncodedBags(
            bags.ids,
            values,
            bags.offsets,
            F.normalize(vectors, dim=-1) * part[:, None],
            part / whole,
        )

    def scores(self, queries: Bags, keys: Bags) -> Tensor:
        r"""Return the scores :math:`\alpha` of every query against every key, (queries, keys).

        The sparse product goes through a table of the queries with a row per entry. For single queries against many
        keys, encode the keys once instead.
        """
        entries, places = torch.unique(torch.cat([queries.ids, keys.ids]), return_inverse=True)
        of_queries, of_keys = places.split([len(queries.ids), len(keys.ids)])
        query, key = self.encode(queries), self.encode(keys)
        table = query.values.new_zeros(len(entries), len(queries)).index_put((of_queries, queries.rows), query.values)
        common = F.embedding_bag(
            of_keys, table, keys.offsets, mode="sum", per_sample_weights=key.values, include_last_offset=True
        )
        shares = query.shares[:, None] * key.shares
        return (common.T + self.balance * query.vectors @ key.vectors.T) / (1 + self.balance * shares)

    def loss(self, batch: Lookups, carry: Any = None) -> Loss:
        """Return the cross-entropy of the target keys, summed over queries, in nats, without `ignored` keys."""
        scores = self.scores(batch.queries, batch.keys)
        scores = scores.to(torch.promote_types(scores.dtype, torch.float32)) * self.memory.log_scale.exp()
        if batch.ignored is not None:
            scores = scores.masked_fill(batch.ignored, -torch.inf)
        return Loss(F.cross_entropy(scores, batch.targets, reduction="sum"), batch.size)


_SPREAD = 0.3  # root mean square of the initial projection, so that a step changes it about as much as `importance`
_LEAST = 1e-30
