"""Maps of a classifier over a picture: saliency of its labels, activity of its stages, and its first filters."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from unspool.data import Image, Images
from unspool.errors import counted
from unspool.inputs.images.embedding import GridEmbedding
from unspool.inputs.images.fitted import FittedImages
from unspool.inspection.picture_maps import PictureMaps
from unspool.layers import ResidualNetwork
from unspool.tasks.trainable import device_of

__all__ = ["activity", "first_filters", "image_network", "maps_of", "saliency"]

_FILTERS = 12  # shown


def image_network(settings: Any, stack: str) -> str:
    """Describe a network over images in a few words.

    Args:
        settings: Settings of the classifier.
        stack: Description of recurrent or Transformer layers.
    """
    network, image = settings.network, settings.image
    if network.network == "feedforward":
        return f"feed-forward network, {counted(network.layers, 'layers')} of {network.hidden},"
    if network.network == "convolutional":
        residual = image.residual
        stages = counted(len(residual.all_widths), "stages")
        return f"residual network, {stages} of {counted(residual.blocks, 'blocks')}, {residual.widths} channels,"
    return (
        f"{stack} by {f'patches of {image.patch} x {image.patch}' if network.network == 'transformer' else image.scan}"
    )


def maps_of(
    model: Any,
    fitted: FittedImages,
    value: Image,
    labels: Mapping[str, int],
    prediction: Mapping[str, Any],
    summary: str,
) -> PictureMaps:
    """Return all maps over one picture.

    Args:
        model: A `ClassifierModel`, in evaluation mode.
        fitted: The fitted input.
        value: The image.
        labels: Id of each label whose saliency is drawn, by name.
        prediction: The output as JSON values.
        summary: One line that describes the network.
    """
    batch = fitted.encode([value], ["image"]).batch(np.array([0])).to(device_of(model))
    assert isinstance(batch, Images)
    drawn = saliency(model, batch, list(labels.values()))
    maps = {f"saliency of {name}": each for name, each in zip(labels, drawn, strict=True)}
    with torch.no_grad():
        weights = model(batch).weights
    if weights is not None and model.readout.pooling == "attention":
        order = np.arange(fitted.steps) if fitted.order is None else np.argsort(fitted.order)
        maps["attention pooling"] = weights[:, 0].float().cpu().numpy()[order].reshape(fitted.grid)
    maps |= activity(model, batch)
    return PictureMaps(fitted.view(value), maps, prediction, summary, first_filters(model))


def saliency(model: Any, batch: Images, labels: Sequence[int]) -> list[NDArray[np.float32]]:
    r"""Return how strongly each pixel moves the score of each label.

    .. math:: M_{ij} = \max_c \left| \frac{\partial S_y}{\partial x_{cij}} \right|

    with :math:`S_y` the logit of label :math:`y`. Source: Simonyan et al. 2014, arXiv:1312.6034, section 3.1.

    Args:
        model: A `ClassifierModel`, in evaluation mode.
        batch: One image.
        labels: Ids of the labels.

    Returns:
        (height, width) for each label, at least 0.
    """
    maps = []
    with torch.enable_grad():
        for label in labels:
            values = batch.values.detach().clone().requires_grad_()
            score: Tensor = model(Images(values, batch.steps)).logits[0, label]
            (gradient,) = torch.autograd.grad(score, values)
            maps.append(gradient[0].abs().amax(0).float().cpu().numpy())
    return maps


@torch.no_grad()
def activity(model: Any, batch: Images) -> dict[str, NDArray[np.float32]]:
    """Return the norm over the channels after each stage of a residual network, (rows, columns); empty for others."""
    network = _network(model)
    if network is None:
        return {}
    states = network.stem(batch.values)
    maps = {}
    for number, stage in enumerate(network.stages, start=1):
        states = stage(states)
        maps[f"stage {number} / norm"] = states[0].float().norm(dim=0).cpu().numpy()
    return maps


def first_filters(model: Any) -> dict[str, NDArray[np.float32]]:
    """Return up to 12 filters of the first convolution, (rows, columns) or (rows, columns, 3); empty without one."""
    network = _network(model)
    if network is None:
        return {}
    convolution = network.stem[0]
    assert isinstance(convolution, nn.Conv2d)
    weights = convolution.weight[:_FILTERS].detach().float().cpu().permute(0, 2, 3, 1).numpy()
    weights = weights[..., 0] if weights.shape[-1] == 1 else weights
    return {f"filter {number}": each for number, each in enumerate(weights, start=1)}


def _network(model: Any) -> ResidualNetwork | None:
    embedding = model.embedding
    return embedding.convolutions if isinstance(embedding, GridEmbedding) else None
