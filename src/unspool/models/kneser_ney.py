"""N-gram counts with modified Kneser–Ney smoothing, for baselines, mixtures and language models of a decoder.

Source: Chen and Goodman 1998, TR-10-98, section 4.1.6 (interpolated, three discounts per order)::

    p(w | h) = max(a(hw) - D(a(hw)), 0) / a(h·) + gamma(h) p(w | h without its first word)

`a` counts occurrences in the highest order, and distinct preceding words in lower orders. The recursion ends at a
uniform distribution. Text is one stream: end-of-sentence marks are ordinary words, and contexts extend across them.
With `begin`, text is a list of sentences instead: each starts with this id, which nothing predicts, and no context
extends across it. N-grams that start with it have no preceding word, so `a` counts their occurrences in every order
(Heafield et al. 2013, section 3).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from unspool.errors import DataError

__all__ = ["KneserNey"]

Ids = NDArray[np.int64]
Floats = NDArray[np.float64]

_ABSENT = -1


class _Level(NamedTuple):
    """The n-grams of one order, by their index in `keys`.

    The key of an n-gram is `index of its first n-1 words * vocabulary + last word`: indices chain between orders.
    """

    keys: Ids
    """Sorted keys, (n-grams,)."""
    discounted: NDArray[np.float32]
    """The first term of the equation, (n-grams,)."""
    backoff: NDArray[np.float32]
    """gamma(h) for each context, (n-grams of the level below,)."""


class KneserNey:
    """Smoothed n-gram model over integer ids.

    Attributes:
        order: Maximum n-gram length, in tokens.
        vocab_size: Number of ids.
        begin: Id that starts each sentence; None: the text was one stream.
    """

    def __init__(self, order: int, vocab_size: int, levels: list[_Level], begin: int | None = None) -> None:
        self.order, self.vocab_size, self.begin = order, vocab_size, begin
        self._levels = levels
        self._uniform = np.full(vocab_size, 1 / (vocab_size if begin is None else max(1, vocab_size - 1)))
        if begin is not None:
            self._uniform[begin] = 0

    @classmethod
    def learn(
        cls,
        ids: NDArray[Any],
        vocab_size: int,
        *,
        order: int = 5,
        max_tokens: int = 5_000_000,
        begin: int | None = None,
    ) -> KneserNey:
        """Count the n-grams of a text.

        Args:
            ids: The text as one stream, (tokens,), any integer type; may be a memory map.
            vocab_size: Number of ids; every id is below this number.
            order: Maximum n-gram length, in tokens, at least 1.
            max_tokens: Maximum number of training tokens; bounds time and memory (150 bytes per token).
            begin: Id that starts each sentence, the first token included; None: the text is one stream.

        Raises:
            DataError: If the text is empty, or an id is not below `vocab_size`.
        """
        if order < 1:
            raise DataError(f"the order of an n-gram model is at least 1, not {order}")
        tokens = np.asarray(ids[:max_tokens]).astype(np.int64)
        _check_ids(tokens, vocab_size)
        levels: list[_Level] = []
        room = _tokens_left(tokens, begin)
        # Index of the n-gram that begins at each token, or absent; initially that of the empty n-gram.
        contexts: Ids = np.zeros(len(tokens), dtype=np.int64)
        num_contexts = num_contexts_below = 1
        keys = counts = contexts
        for length in range(1, min(order, int(room.max())) + 1):
            shorter, occurrences = keys, counts
            starts = np.flatnonzero(room >= length)
            keys, first, places, counts = np.unique(
                contexts[starts] * vocab_size + tokens[starts + length - 1],
                return_index=True,
                return_inverse=True,
                return_counts=True,
            )
            if length > 1:
                # Each distinct n-gram adds one preceding word to the n-gram without its first word.
                words_before = np.bincount(contexts[starts[first] + 1], minlength=len(shorter))
                if begin is not None:
                    words_before = _of_sentences(words_before, occurrences, contexts, tokens, begin, length - 1)
                levels.append(_level(shorter, num_contexts_below, words_before, vocab_size))
            num_contexts_below, num_contexts = num_contexts, len(keys)
            contexts = np.full(len(tokens), _ABSENT, dtype=np.int64)
            contexts[starts] = places
        if begin is not None and len(levels) == 0:
            counts = np.where(keys == begin, 0, counts)  # an order of 1: nothing predicts the begin id
        levels.append(_level(keys, num_contexts_below, counts, vocab_size))
        return cls(len(levels), vocab_size, levels, begin)

    def nats(self, ids: NDArray[Any], *, chunk: int = 1_000_000) -> Floats:
        """Return the negative log-likelihood of every token given the previous tokens, in nats.

        Args:
            ids: The text as one stream, (tokens,).
            chunk: Tokens per step; bounds memory.

        Returns:
            Negative log-likelihoods, (tokens,).

        Raises:
            DataError: If the text is empty, or an id is not below `vocab_size`.
        """
        nats = np.empty(len(ids))
        for start in range(0, len(ids), chunk):
            reach = max(0, start - self.order + 1)
            tokens = np.asarray(ids[reach : start + chunk]).astype(np.int64)
            _check_ids(tokens, self.vocab_size)
            with np.errstate(divide="ignore"):  # nothing predicts the id that starts sentences
                nats[start : start + chunk] = -np.log(self._probabilities(tokens)[start - reach :])
        if not len(ids):
            _check_ids(np.asarray(ids), self.vocab_size)
        return nats

    def distribution(self, history: Sequence[int]) -> Floats:
        """Return the probability of every unit after some units, (vocabulary,); it sums to 1."""
        result = self._uniform.copy()
        for length, level in enumerate(self._levels):
            context = self._context(history, length)
            if context == _ABSENT:
                break
            begin, end = np.searchsorted(level.keys, (context * self.vocab_size, (context + 1) * self.vocab_size))
            result *= level.backoff[context]
            result[level.keys[begin:end] - context * self.vocab_size] += level.discounted[begin:end]
        return result

    def _context(self, history: Sequence[int], length: int) -> int:
        """Return the index of the last `length` units of a history among the n-grams of that length, or `_ABSENT`."""
        if length > len(history):
            return _ABSENT
        context = 0
        for level, unit in zip(self._levels, history[len(history) - length :], strict=False):
            context = int(_find(level.keys, np.array([context * self.vocab_size + unit]))[0])
            if context == _ABSENT:
                break
        return context

    def entries(self) -> list[tuple[Ids, Floats, Floats]]:
        """Return every n-gram with its probability and its backoff weight, by order, the shortest first.

        The model of `models.ngrams` with these numbers has the same probabilities: an n-gram of the training text has
        the interpolated probability, and any other the backoff weight of its context times the shorter probability.

        Returns:
            For each order n-grams as ids, int64 (n-grams, order), probabilities (n-grams,), and backoff weights
            (n-grams,), 1 if no longer n-gram starts with the n-gram. Order 1 holds every id once.
        """
        grams: Ids = np.zeros((1, 0), dtype=np.int64)
        result: list[tuple[Ids, Floats, Floats]] = []
        for length, level in enumerate(self._levels, start=1):
            context, last = np.divmod(level.keys, self.vocab_size)
            grams = np.concatenate([grams[context], last[:, None]], axis=1)
            lower = self._uniform[last] if length == 1 else self._lookup(grams[:, 1:], result)
            probabilities = level.discounted + level.backoff[context] * lower
            after = self._levels[length].backoff if length < len(self._levels) else np.ones(len(grams))
            result.append((grams, probabilities.astype(np.float64), after.astype(np.float64)))
            if length == 1:
                result[0] = self._all_units(level, result[0])
        return result

    def _all_units(self, level: _Level, entries: tuple[Ids, Floats, Floats]) -> tuple[Ids, Floats, Floats]:
        """Return the unigrams with an entry for each id, also those that the text lacks."""
        probabilities, backoffs = level.backoff[0] * self._uniform, np.ones(self.vocab_size)
        units = entries[0][:, 0]
        probabilities[units], backoffs[units] = entries[1], entries[2]
        return np.arange(self.vocab_size)[:, None], probabilities, backoffs

    def _lookup(self, grams: Ids, entries: list[tuple[Ids, Floats, Floats]]) -> Floats:
        """Return probabilities of n-grams of the longest order in `entries`, all of which occur in the text."""
        if grams.shape[1] == 1:
            return entries[0][1][grams[:, 0]]
        index: Ids = np.zeros(len(grams), dtype=np.int64)
        for level, unit in zip(self._levels, grams.T, strict=False):
            index = _find(level.keys, index * self.vocab_size + unit)
        return entries[-1][1][index]

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Return the n-grams of every order as arrays by name, for `of_arrays`."""
        return {
            f"{length}/{name}": array
            for length, level in enumerate(self._levels, start=1)
            for name, array in level._asdict().items()
        }

    @classmethod
    def of_arrays(cls, arrays: Mapping[str, NDArray[Any]], vocab_size: int) -> KneserNey:
        """Build the model from arrays.

        Raises:
            ValueError: If an array is missing, or does not fit the others.
        """
        levels: list[_Level] = []
        contexts = 1
        while len(levels) * len(_Level._fields) < len(arrays):
            parts = [arrays.get(f"{len(levels) + 1}/{name}") for name in _Level._fields]
            if any(part is None or part.ndim != 1 for part in parts):
                raise ValueError(f"an array of the {len(levels) + 1}-grams is missing")
            level = _Level(*parts)  # type: ignore[arg-type]
            fits = len(level.discounted) == len(level.keys) > 0 and len(level.backoff) == contexts
            kinds = [part.dtype for part in level]
            if (
                not fits
                or kinds != [np.int64, np.float32, np.float32]
                or not _ascends(level.keys, contexts * vocab_size)
            ):
                raise ValueError(f"the {len(levels) + 1}-grams do not fit the shorter ones")
            if not all(np.isfinite(part).all() and (part >= 0).all() for part in (level.discounted, level.backoff)):
                raise ValueError(f"a probability of the {len(levels) + 1}-grams is not finite, or is below 0")
            levels.append(level)
            contexts = len(level.keys)
        if not levels:
            raise ValueError("it holds no n-grams")
        return cls(len(levels), vocab_size, levels)

    def _probabilities(self, tokens: Ids) -> Floats:
        result = self._uniform[tokens]
        contexts: Ids = np.zeros(len(tokens), dtype=np.int64)
        for level in self._levels:
            # contexts[i] is the index of the n-gram that ends before token i, or absent.
            present = np.flatnonzero(contexts != _ABSENT)
            context = contexts[present]
            places = _find(level.keys, context * self.vocab_size + tokens[present])
            first_term = np.where(places == _ABSENT, 0, level.discounted[places])
            result[present] = first_term + level.backoff[context] * result[present]
            contexts = np.full(len(tokens), _ABSENT, dtype=np.int64)
            follows = present + 1 < len(tokens)
            contexts[present[follows] + 1] = places[follows]
        return result


def _tokens_left(tokens: Ids, begin: int | None) -> Ids:
    """Return the number of tokens from each token to the end of its sentence, (tokens,)."""
    starts = np.flatnonzero(tokens == begin) if begin is not None else np.zeros(1, dtype=np.int64)
    if not len(starts) or starts[0]:
        raise DataError(f"the first token is {tokens[0]}; expected {begin}, which starts each sentence")
    ends = np.append(starts[1:], len(tokens))
    return np.repeat(ends, ends - starts) - np.arange(len(tokens))


def _of_sentences(words_before: Ids, occurrences: Ids, contexts: Ids, tokens: Ids, begin: int, length: int) -> Ids:
    """Replace the number of preceding words by the number of occurrences, for n-grams that start a sentence."""
    starting = contexts[(tokens == begin) & (contexts != _ABSENT)]
    result = words_before.copy()
    result[starting] = 0 if length == 1 else occurrences[starting]
    return result


def _level(keys: Ids, num_contexts: int, counts: Ids, vocab_size: int) -> _Level:
    """Discount the counts of one order.

    Args:
        keys: Sorted keys of its n-grams, (n-grams,).
        num_contexts: Number of n-grams of the order below.
        counts: Occurrences, or distinct preceding words, of each n-gram, (n-grams,).
        vocab_size: Number of ids.
    """
    context = keys // vocab_size
    discount = _discounts(counts)[np.minimum(counts, 3)]
    total = np.bincount(context, weights=counts, minlength=num_contexts)
    reserve = np.bincount(context, weights=np.minimum(discount, counts), minlength=num_contexts)
    mask = total > 0
    backoff = np.ones(num_contexts)  # a context without continuation backs off completely
    backoff[mask] = reserve[mask] / total[mask]
    discounted = np.maximum(counts - discount, 0) / np.maximum(total, 1)[context]
    return _Level(keys, discounted.astype(np.float32), backoff.astype(np.float32))


def _discounts(counts: Ids) -> Floats:
    """Chen and Goodman's discounts D for counts of 0, 1, 2, and 3 or more, with a fallback for few counts."""
    n1, n2, n3, n4 = (int((counts == c).sum()) for c in (1, 2, 3, 4))
    if not (n1 and n2):
        return np.array([0.0, 0.5, 0.5, 0.5])
    y = n1 / (n1 + 2 * n2)
    estimates = [1 - 2 * y * n2 / n1, 2 - 3 * y * n3 / n2, 3 - 4 * y * n4 / n3 if n3 else y]
    # With few counts an estimate may leave (0, count). The fallback is y, the absolute discount, between 0 and 1.
    return np.array([0.0, *(d if 0 < d < c else y for c, d in enumerate(estimates, start=1))])


def _ascends(keys: Ids, limit: int) -> bool:
    """Return whether keys are distinct, sorted, and between 0 and a limit."""
    return bool(keys[0] >= 0 and keys[-1] < limit and (np.diff(keys) > 0).all())


def _find(keys: Ids, queries: Ids) -> Ids:
    """Return the index of each query among sorted keys, or `_ABSENT`."""
    places = np.minimum(np.searchsorted(keys, queries), len(keys) - 1)
    return np.where(keys[places] == queries, places, _ABSENT)


def _check_ids(tokens: NDArray[Any], vocab_size: int) -> None:
    if not len(tokens):
        raise DataError("an n-gram model needs a text: this one holds no tokens")
    if tokens.min() < 0 or tokens.max() >= vocab_size:
        raise DataError(f"ids from {tokens.min()} to {tokens.max()} do not fit a vocabulary of {vocab_size}")
