"""Image classifiers out of plain torch modules, and the training loop that one writes for an array of pixels."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from rivals.bare import copied_linear, copied_lstm
from unspool.models import ClassifierModel
from unspool.training import TrainingSettings

__all__ = ["plain_images", "plain_loop"]


class PlainBlock(nn.Module):
    """Basic block of a ResNet, as in the tutorials."""

    def __init__(self, size: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(size, width, 3, stride, 1, bias=False), nn.BatchNorm2d(width)
        self.conv2, self.bn2 = nn.Conv2d(width, width, 3, 1, 1, bias=False), nn.BatchNorm2d(width)
        around = stride > 1 or size != width
        self.downsample = nn.Sequential(nn.Conv2d(size, width, 1, stride, bias=False), nn.BatchNorm2d(width))
        self.downsample = self.downsample if around else nn.Identity()

    def forward(self, inputs: Tensor) -> Tensor:
        hidden = F.relu(self.bn1(self.conv1(inputs)))
        return F.relu(self.downsample(inputs) + self.bn2(self.conv2(hidden)))


class PlainConvolutional(nn.Module):
    """First convolution, blocks, mean over the image, linear layer; channels last, the faster form on a CPU."""

    def __init__(self, channels: int, widths: Sequence[int], labels: int) -> None:
        super().__init__()
        blocks = [
            PlainBlock(size, width, 2 if depth else 1)
            for depth, (size, width) in enumerate(zip([widths[0], *widths], widths, strict=False))
        ]
        self.first = nn.Sequential(nn.Conv2d(channels, widths[0], 3, 1, 1, bias=False), nn.BatchNorm2d(widths[0]))
        self.blocks, self.output = nn.Sequential(*blocks), nn.Linear(widths[-1], labels)

    def forward(self, images: Tensor) -> Tensor:
        states = self.blocks(F.relu(self.first(images.contiguous(memory_format=torch.channels_last))))
        return self.output(states.mean((2, 3)))


class PlainRows(nn.Module):
    """nn.LSTM over the rows of an image, mean over its states, linear layer."""

    def __init__(self, model: ClassifierModel) -> None:
        super().__init__()
        self.lstm, self.output = copied_lstm(model.encoder), copied_linear(model.output)

    def forward(self, images: Tensor) -> Tensor:
        return self.output(self.lstm(images.permute(2, 0, 3, 1).flatten(2))[0].mean(0))


def plain_images(model: ClassifierModel, settings: Any, shape: tuple[int, int, int]) -> nn.Module:
    """Return the plain network with the weights of ours.

    Args:
        model: Our network, without dropout.
        settings: Settings of its task.
        shape: Height, width and channels of the images.
    """
    height, width, channels = shape
    network, labels = settings.network, model.output.out_features
    plain: nn.Module
    if network.network == "convolutional":
        plain = PlainConvolutional(channels, settings.image.residual.all_widths, labels)
    elif network.network == "recurrent":
        return PlainRows(model)
    else:
        sizes = [height * width * channels, *[network.hidden] * network.layers]
        layers = [nn.Sequential(nn.Linear(*pair), nn.ReLU()) for pair in pairwise(sizes)]
        plain = nn.Sequential(PlainPixels(), *layers, nn.Linear(sizes[-1], labels))
    with torch.no_grad():
        for mine, other in zip(model.state_dict().values(), plain.state_dict().values(), strict=True):
            other.copy_(mine)
    return plain


class PlainPixels(nn.Module):
    """All pixels of an image as one vector, channels last."""

    def forward(self, images: Tensor) -> Tensor:
        return images.permute(0, 2, 3, 1).flatten(1)


def plain_loop(
    plain: nn.Module,
    pixels: NDArray[np.uint8],
    targets: NDArray[np.int64],
    indices: Sequence[NDArray[np.int64]],
    mean: float,
    deviation: float,
    settings: TrainingSettings,
    label_smoothing: float,
) -> None:
    """Train on batches at some indices of an array of pixels, (images, height, width, 1): no validation, no log."""
    matrices = [weight for weight in plain.parameters() if weight.dim() >= 2]
    vectors = [weight for weight in plain.parameters() if weight.dim() < 2]
    groups = [{"params": matrices, "weight_decay": settings.weight_decay}, {"params": vectors, "weight_decay": 0.0}]
    betas = (settings.beta1, settings.beta2)
    optimizer = torch.optim.AdamW(groups, lr=settings.learning_rate, betas=betas, eps=settings.epsilon, fused=True)
    images, labels = torch.from_numpy(pixels).permute(0, 3, 1, 2), torch.from_numpy(targets)
    plain.train()
    for chosen in indices:
        places = torch.from_numpy(chosen)
        batch = (images[places].float() / 255 - mean) / deviation
        with torch.autocast("cpu", torch.bfloat16, enabled=settings.precision == "bfloat16"):
            logits = plain(batch)
        loss = F.cross_entropy(logits.float(), labels[places], label_smoothing=label_smoothing)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        if settings.clip is not None:
            nn.utils.clip_grad_norm_(plain.parameters(), settings.clip)
        optimizer.step()
