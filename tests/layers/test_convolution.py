"""Convolutions over time: each sequence as if it stood alone, whatever the padding holds."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch.testing import assert_close

from unspool.errors import SettingError
from unspool.layers import Convolution1d, GlobalNorm, TimeDelay

CASES = [(1, 1, 1), (3, 1, 1), (5, 2, 1), (5, 3, 2), (7, 1, 3), (3, 2, 5)]  # kernel size, dilation, stride
LENGTHS = torch.tensor([11, 1, 7, 4])


def sequences(size: int = 3, seed: int = 0) -> torch.Tensor:
    """Ragged sequences, (11, 4, size), with NaN in the padding."""
    inputs = torch.randn(11, 4, size, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    inputs[torch.arange(11)[:, None] >= LENGTHS] = torch.nan
    return inputs


def by_hand(layer: Convolution1d, alone: torch.Tensor, kernel: int, dilation: int) -> torch.Tensor:
    """The equation of the docstring, step by step, of one sequence, (time, input)."""
    weight, bias = layer.convolution.weight, layer.convolution.bias
    outputs = []
    for centre in range(0, len(alone), layer.stride):
        total = bias.clone()
        for place in range(kernel):
            step = centre + dilation * (place - kernel // 2)
            if 0 <= step < len(alone):
                total = total + weight[:, :, place] @ alone[step]
        outputs.append(total)
    return torch.stack(outputs)


@pytest.mark.parametrize(("kernel", "dilation", "stride"), CASES)
def test_a_convolution_of_padded_sequences_is_that_of_each_alone(kernel, dilation, stride):
    torch.manual_seed(1)
    layer = Convolution1d(3, 5, kernel, dilation=dilation, stride=stride).double()
    inputs = sequences()
    outputs, lengths = layer(inputs, LENGTHS)
    assert lengths.tolist() == [-(-int(n) // stride) for n in LENGTHS] == layer.output_lengths(LENGTHS).tolist()
    assert len(outputs) == lengths.max()
    for place, (before, after) in enumerate(zip(LENGTHS, lengths, strict=True)):
        assert_close(outputs[:after, place], by_hand(layer, inputs[:before, place], kernel, dilation))
        assert (outputs[after:, place] == 0).all()


@pytest.mark.parametrize("norm", ["layer", "global"])
@pytest.mark.parametrize("strides", [(1, 1, 1), (2, 1, 1), (1, 3, 2)])
def test_padding_changes_neither_outputs_nor_gradients_of_a_time_delay_network(strides, norm):
    torch.manual_seed(2)
    layer = TimeDelay(3, 6, kernel_size=3, dilations=(1, 2, 3), strides=strides, norm=norm).double()
    inputs = sequences().requires_grad_()
    outputs, lengths = layer(inputs, LENGTHS)
    cotangent = torch.randn_like(outputs)
    together = torch.autograd.grad((outputs * cotangent).sum(), [inputs, *layer.parameters()])
    assert (together[0][torch.arange(11)[:, None] >= LENGTHS] == 0).all()
    sums = [torch.zeros_like(weight) for weight in layer.parameters()]
    for place, (before, after) in enumerate(zip(LENGTHS, lengths, strict=True)):
        alone = inputs.detach()[:before, place : place + 1].requires_grad_()
        one, own = layer(alone, LENGTHS[place : place + 1])
        assert own.tolist() == [int(after)]
        assert_close(one[:, 0], outputs[:after, place])
        gradients = torch.autograd.grad((one[:, 0] * cotangent[:after, place]).sum(), [alone, *layer.parameters()])
        assert_close(gradients[0][:, 0], together[0][:before, place])
        sums = [total + gradient for total, gradient in zip(sums, gradients[1:], strict=True)]
    assert_close(sums, list(together[1:]))


def test_a_time_delay_network_is_its_equation():
    torch.manual_seed(3)
    layer = TimeDelay(2, 4, kernel_size=5, dilations=(1, 2)).double()
    alone = torch.randn(9, 1, 2, dtype=torch.float64)
    hidden = alone[:, 0]
    for convolution, norm, dilation in zip(layer.layers, layer.norms, (1, 2), strict=True):
        hidden = by_hand(convolution, hidden, 5, dilation)
        hidden = F.relu(
            (hidden - hidden.mean(1, keepdim=True)) / (hidden.var(1, unbiased=False, keepdim=True) + 1e-5).sqrt()
        )
        assert (norm.weight == 1).all()
    assert_close(layer(alone, torch.tensor([9])).outputs[:, 0], hidden)


def test_dropout_of_a_time_delay_network_acts_in_training_alone():
    torch.manual_seed(4)
    layer = TimeDelay(3, 8, dropout=0.5)
    inputs, lengths = torch.randn(6, 2, 3), torch.tensor([6, 3])
    trained = layer.train()(inputs, lengths).outputs
    assert not torch.equal(trained, layer(inputs, lengths).outputs)
    layer.eval()
    assert torch.equal(layer(inputs, lengths).outputs, layer(inputs, lengths).outputs)


def test_bad_sizes_are_refused():
    with pytest.raises(SettingError, match=r"kernel_size = 4, .*expected an odd kernel size"):
        Convolution1d(2, 3, 4)
    with pytest.raises(SettingError, match="stride = 0"):
        Convolution1d(2, 3, 3, stride=0)
    with pytest.raises(SettingError, match="1 strides and 3 dilations"):
        TimeDelay(2, 3, strides=[2])


def test_a_global_norm_is_that_of_each_sequence_alone():
    torch.manual_seed(3)
    layer = GlobalNorm(3).double()
    with torch.no_grad():
        layer.weight.normal_()
        layer.bias.normal_()
    inputs = sequences().nan_to_num()
    outputs = layer(inputs, LENGTHS)
    for place, length in enumerate(LENGTHS):
        alone = inputs[:length, place]
        expected = (alone - alone.mean()) / (alone.var(correction=0) + 1e-5).sqrt() * layer.weight + layer.bias
        assert_close(outputs[:length, place], expected)
