"""What is dropped, how much, and that the mean stays."""

from __future__ import annotations

import pytest
import torch
from torch.testing import assert_close

from unspool.errors import SettingError
from unspool.layers import SequenceDropout, WordDropout


@pytest.mark.parametrize("variational", [False, True], ids=["ordinary", "variational"])
@pytest.mark.parametrize("rate", [0.1, 0.7])
def test_sequence_dropout_is_unbiased(rate, variational):
    dropout = SequenceDropout(rate, variational=variational)
    inputs = torch.rand(8, 200, 100) + 0.5
    outputs = dropout(inputs)
    kept = outputs != 0
    assert kept.float().mean().item() == pytest.approx(1 - rate, abs=0.02)
    exact = rate if variational else round(rate * 2**16) / 2**16  # 16 random bits decide
    assert_close(outputs[kept], inputs[kept] / (1 - exact))
    assert bool((kept == kept[:1]).all()) == variational  # one mask for all steps
    assert not bool((kept == kept[:, :1]).all())  # another for each sequence
    assert not bool((kept == kept[:, :, :1]).all())
    again = dropout(inputs) != 0
    assert (again == kept).float().mean() < 0.95


@pytest.mark.parametrize("variational", [False, True])
def test_sequence_dropout_does_nothing_in_evaluation_or_at_rate_zero(variational):
    inputs = torch.randn(4, 3, 2)
    assert torch.equal(SequenceDropout(0.5, variational=variational).eval()(inputs), inputs)
    assert torch.equal(SequenceDropout(0.0, variational=variational)(inputs), inputs)


@pytest.mark.parametrize("rate", [-0.1, 1.0, 1.5])
def test_a_rate_out_of_range_is_refused(rate):
    with pytest.raises(SettingError, match=f"dropout = {rate}: expected at least 0 and less than 1"):
        SequenceDropout(rate)


def test_word_dropout_replaces_its_share_and_spares_the_padding():
    ids = torch.randint(2, 9, (100, 100))
    ids[60:] = 0
    dropped = WordDropout(0.3, unknown=1)(ids)
    assert torch.equal(dropped[60:], ids[60:])
    changed = dropped != ids
    assert torch.equal(dropped[changed].unique(), torch.tensor([1]))
    assert changed[:60].float().mean().item() == pytest.approx(0.3, abs=0.025)
    assert torch.equal(WordDropout(0.3, unknown=1).eval()(ids), ids)
    assert torch.equal(WordDropout(0.0, unknown=1)(ids), ids)


def test_word_dropout_by_counts_follows_alpha_over_alpha_plus_count():
    counts = torch.tensor([0, 0, 1, 3, 12])
    ids = torch.arange(2, 5).repeat(20000, 1)
    dropped = WordDropout(0.25, unknown=1, counts=counts)(ids)
    shares = (dropped == 1).float().mean(0)
    assert_close(shares, 0.25 / (0.25 + counts[2:].float()), rtol=0, atol=0.015)
