"""Augmentation of images in training: shift, mirror, random crop and rotation."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from unspool.inputs.augmentation import generator_for
from unspool.inputs.images.settings import ImageSettings

__all__ = ["changed_images"]


def changed_images(
    pixels: NDArray[np.uint8], indices: list[int], settings: ImageSettings, seed: int, epoch: int
) -> NDArray[np.uint8]:
    """Change images at random.

    Args:
        pixels: uint8 (images, height, width, channels).
        indices: Index of each image in the training data; it decides the change, with seed and epoch.
        settings: The largest changes.
        seed: Seed of the training.
        epoch: Number of the epoch.

    Returns:
        uint8 (images, height, width, channels).
    """
    draws = np.stack([generator_for(seed, epoch, index).uniform(-1, 1, 7) for index in indices])
    height, width = pixels.shape[1:3]
    shift_x, shift_y = (_whole(draws[:, place], settings.move) for place in (0, 1))
    mirrored = draws[:, 2] < 0 if settings.flip else np.zeros(len(pixels), bool)
    if not settings.random_crop and not settings.rotate:
        return np.stack(
            [
                _shifted(image[:, ::-1] if mirror else image, x, y)
                for image, mirror, x, y in zip(pixels, mirrored, shift_x, shift_y, strict=True)
            ]
        )
    angle = np.deg2rad(draws[:, 3] * settings.rotate)
    scale = 1 - settings.random_crop * (draws[:, 4] + 1) / 2
    center = draws[:, 5:7] * (1 - scale)[:, None]  # of the crop, in halves of the image
    center = center - np.stack([2 * shift_x / width, 2 * shift_y / height], 1)
    return _sampled(pixels, angle, scale, np.where(mirrored, -1.0, 1.0), center)


def _whole(draws: NDArray[np.float64], largest: int) -> NDArray[np.int64]:
    """Turn numbers between -1 and 1 into whole numbers from -largest to largest, each with the same probability."""
    return np.floor((draws + 1) / 2 * (2 * largest + 1)).astype(np.int64).clip(0, 2 * largest) - largest


def _shifted(image: NDArray[np.uint8], x: int, y: int) -> NDArray[np.uint8]:
    """Move an image to the right and down; black moves in."""
    height, width = image.shape[:2]
    x, y = max(-width, min(width, x)), max(-height, min(height, y))
    moved = np.zeros_like(image)
    moved[max(y, 0) : height + min(y, 0), max(x, 0) : width + min(x, 0)] = image[
        max(-y, 0) : height - max(y, 0), max(-x, 0) : width - max(x, 0)
    ]
    return moved


def _sampled(
    pixels: NDArray[np.uint8],
    angle: NDArray[np.float64],
    scale: NDArray[np.float64],
    mirror: NDArray[np.float64],
    center: NDArray[np.float64],
) -> NDArray[np.uint8]:
    """Sample images by affine maps, with linear interpolation and black outside.

    Args:
        pixels: uint8 (images, height, width, channels).
        angle: Rotation of each image, in radians.
        scale: Part of each image that is seen, as a share of its sides.
        mirror: -1 for a mirrored image, 1 for the others.
        center: Middle of that part, x and y, (images, 2), in halves of the image.
    """
    height, width = pixels.shape[1:3]
    cosine, sine, ratio = np.cos(angle) * scale, np.sin(angle) * scale, height / width
    rows = [[cosine * mirror, -sine * ratio, center[:, 0]], [sine * mirror / ratio, cosine, center[:, 1]]]
    theta = torch.from_numpy(np.array(rows).transpose(2, 0, 1)).float()
    values = torch.from_numpy(np.ascontiguousarray(pixels.transpose(0, 3, 1, 2))).float()
    grid = F.affine_grid(theta, list(values.shape), align_corners=False)
    sampled = F.grid_sample(values, grid, mode="bilinear", padding_mode="zeros", align_corners=False)
    result: NDArray[np.uint8] = sampled.round().clamp(0, 255).to(torch.uint8).numpy().transpose(0, 2, 3, 1)
    return result
