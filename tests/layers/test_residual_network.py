"""Residual convolutional network: equal to plain modules of torch, outputs and gradients, at odd sizes."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.testing import assert_close

from unspool.errors import SettingError
from unspool.layers import ResidualNetwork


def randomised(network: nn.Module) -> None:
    for name, tensor in [*network.named_parameters(), *network.named_buffers()]:
        if tensor.is_floating_point():
            with torch.no_grad():
                tensor.normal_(0.1, 0.3)
                if "var" in name:
                    tensor.abs_().add_(0.2)


def plain(network: ResidualNetwork, images: Tensor, stem: int) -> Tensor:
    """The same network by functions of torch, from its tensors by name."""
    tensors = dict([*network.named_parameters(), *network.named_buffers()])

    def norm(inputs: Tensor, name: str) -> Tensor:
        if network.training:
            mean, variance = inputs.mean((0, 2, 3)), inputs.var((0, 2, 3), correction=0)
        else:
            mean, variance = tensors[f"{name}.running_mean"], tensors[f"{name}.running_var"]
        shape = (1, -1, 1, 1)
        scaled = (inputs - mean.view(shape)) / (variance.view(shape) + 1e-5).sqrt()
        return scaled * tensors[f"{name}.weight"].view(shape) + tensors[f"{name}.bias"].view(shape)

    kernel = tensors["stem.0.weight"]
    states = norm(F.conv2d(images, kernel, stride=stem, padding=kernel.shape[-1] // 2), "stem.1").clamp(min=0)
    for depth, stage in enumerate(network.stages):
        for number in range(len(stage)):
            block, stride = f"stages.{depth}.{number}", 2 if depth and not number else 1
            first = F.conv2d(states, tensors[f"{block}.convolution_1.weight"], stride=stride, padding=1)
            second = F.conv2d(
                norm(first, f"{block}.norm_1").clamp(min=0), tensors[f"{block}.convolution_2.weight"], padding=1
            )
            around = states
            if f"{block}.shortcut.0.weight" in tensors:
                around = norm(
                    F.conv2d(states, tensors[f"{block}.shortcut.0.weight"], stride=stride), f"{block}.shortcut.1"
                )
            states = (around + norm(second, f"{block}.norm_2")).clamp(min=0)
    return states


@pytest.mark.parametrize("training", [False, True], ids=["evaluation", "training"])
@pytest.mark.parametrize(("stem", "widths", "blocks"), [(1, [3, 5], 2), (2, [4, 4, 6], 1), (4, [3], 1)], ids=str)
def test_it_equals_plain_functions_of_torch(stem, widths, blocks, training):
    torch.manual_seed(3)
    network = ResidualNetwork(2, widths, blocks=blocks, stem=stem).double().train(training)
    randomised(network)
    images = torch.randn(3, 2, 17, 11, dtype=torch.float64, requires_grad=True)
    expected = plain(network, images, stem)
    cotangent = torch.randn_like(expected)
    wanted = torch.autograd.grad(expected, [images, *network.parameters()], cotangent)
    outputs = network(images)
    assert outputs.shape[2:] == network.grid(17, 11)
    assert_close(outputs, expected)
    for gradient, right in zip(
        torch.autograd.grad(outputs, [images, *network.parameters()], cotangent), wanted, strict=True
    ):
        assert_close(gradient, right)


def test_images_of_a_batch_do_not_change_each_other_in_evaluation():
    torch.manual_seed(4)
    network = ResidualNetwork(1, [3, 5]).double().eval()
    randomised(network)
    images = torch.randn(4, 1, 9, 8, dtype=torch.float64)
    assert_close(network(images)[2:3], network(images[2:3]))


def test_sizes_that_make_no_network_are_refused():
    for widths, options in (([], {}), ([3], {"blocks": 0}), ([3], {"stem": 3})):
        with pytest.raises(SettingError, match="expected at least one, and a stem of 1, 2, 4"):
            ResidualNetwork(1, widths, **options)
