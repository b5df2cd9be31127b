"""Finding the pair that a question belongs to: an encoder of bags, and the memory that it is looked up in."""

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
    """Questions, the keys of some pairs, and which of them each question should find."""

    queries: Bags
    keys: Bags
    targets: Tensor
    """Places among the keys, int64 (queries,)."""
    ignored: Tensor | None = None
    """True where a key is neither right nor wrong for a question, bool (queries, keys); None: nowhere."""

    @property
    def size(self) -> int:
        """Questions."""
        return len(self.targets)

    def to(self, device: torch.device | str) -> Lookups:
        """The same on a device."""
        ignored = None if self.ignored is None else self.ignored.to(device)
        return Lookups(self.queries.to(device), self.keys.to(device), self.targets.to(device), ignored)

    def shard(self, rank: int, world: int) -> Self | None:
        """Every `world`-th question from `rank` on, with all keys; None if there is none."""
        if rank >= self.size:
            return None
        ignored = None if self.ignored is None else self.ignored[rank::world]
        return replace(
            self, queries=self.queries.every(world, rank), targets=self.targets[rank::world], ignored=ignored
        )


class EncodedBags(NamedTuple):
    """Bags as the encoder leaves them: what they hold, and what that comes down to."""

    ids: Tensor  # int64 (entries,)
    values: Tensor  # (entries,); a bag's squares add up to the share of it that is known, 1 if nothing is unknown
    offsets: Tensor  # int64 (batch + 1,)
    vectors: Tensor  # (batch, size), as long as the values that have vectors
    shares: Tensor  # (batch,): how long these are beside all values, between 0 and 1


class Retriever(nn.Module):
    r"""Score questions against keys, both bags of words and pieces of words.

    .. math::
        x_f &= e^{\theta_f} v_f \big/ \sqrt{\textstyle\sum_g (e^{\theta_g} v_g)^2 + u} \\
        e &= \lVert x' \rVert \, \frac{P^\top x'}{\lVert P^\top x' \rVert}, \quad
            \rho = \frac{\lVert x' \rVert}{\lVert x \rVert} \\
        \alpha_i &= \frac{x^\top x_i + \gamma\, e^\top e_i}{1 + \gamma \rho \rho_i}

    A bag has values :math:`v`, and :math:`u` of it is unknown; :math:`x'` is :math:`x` without the entries that came
    after training, which have no vectors: until pairs are added there are none, and :math:`\rho = 1`. The first term
    compares what question and key have in common, entry by entry, and is tf–idf where training begins, with
    :math:`\theta = 0`; the second compares what they are about, in few dimensions. Scores lie between -1 and 1; a key's
    own question has 1. Training is by softmax over keys, :math:`-\ln \mathrm{softmax}(\beta \alpha)_i` for the right
    one, with :math:`\beta` learned: the key–value memory's weights (`KeyValueMemory`).

    Source: two encoders that share their weights, trained by softmax over the batch's keys, as in Henderson et al.
    2017, arXiv:1705.00652; sums of vectors of words and pieces as in Bojanowski et al. 2017, arXiv:1607.04606.

    Args:
        num_entries: Size of the vocabulary.
        size: Width of the vectors :math:`e`.
        scale: Where :math:`\beta` begins.
        balance: The weight :math:`\gamma` of the vectors, at least 0. It is not learned: the vectors fit questions they
            have seen so well that it would grow, at the cost of those they have not.
    """

    num_vectors: Tensor
    """How many entries, the first ones, have vectors; the others came after training."""

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
        """Set the projection, (entries, size), to directions of any length; their lengths' mean square is set here."""
        spread = directions.square().mean().sqrt().clamp_min(torch.finfo(directions.dtype).tiny)
        self.projection.copy_(directions * (_SPREAD / spread))

    @torch.no_grad()
    def grown(self, num_entries: int) -> Retriever:
        """A copy for a vocabulary that has become larger: new entries count by their rarity alone, without vectors."""
        more = num_entries - len(self.importance)
        new = Retriever(num_entries, self.projection.shape[1], balance=self.balance)
        tensors = dict(self.state_dict())
        tensors["importance"] = F.pad(tensors["importance"], (0, more))
        tensors["projection"] = F.pad(tensors["projection"], (0, 0, 0, more))
        new.load_state_dict(tensors)
        return new.to(self.importance.device).train(self.training)

    def encode(self, bags: Bags) -> EncodedBags:
        """Encode bags one by one, in memory that grows with their entries alone."""
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
        r"""Scores :math:`\alpha` of every query against every key, (queries, keys).

        A table of the queries has a row for each entry that occurs; the entries of a key pick theirs from it. For a
        query at a time against many keys, encode these once instead.
        """
        entries, places = torch.unique(torch.cat([queries.ids, keys.ids]), return_inverse=True)
        asked, of_keys = places.split([len(queries.ids), len(keys.ids)])
        query, key = self.encode(queries), self.encode(keys)
        table = query.values.new_zeros(len(entries), len(queries)).index_put((asked, queries.rows), query.values)
        common = F.embedding_bag(
            of_keys, table, keys.offsets, mode="sum", per_sample_weights=key.values, include_last_offset=True
        )
        shares = query.shares[:, None] * key.shares
        return (common.T + self.balance * query.vectors @ key.vectors.T) / (1 + self.balance * shares)

    def loss(self, batch: Lookups, carry: Any = None) -> Loss:
        """Cross-entropy of the right keys, summed over queries; keys that a query ignores are not chosen from."""
        scores = self.scores(batch.queries, batch.keys)
        scores = scores.to(torch.promote_types(scores.dtype, torch.float32)) * self.memory.log_scale.exp()
        if batch.ignored is not None:
            scores = scores.masked_fill(batch.ignored, -torch.inf)
        return Loss(F.cross_entropy(scores, batch.targets, reduction="sum"), batch.size)


_SPREAD = 0.3  # root mean square of the projection: a step of the learning rate moves it about as much as `importance`
_LEAST = 1e-30
