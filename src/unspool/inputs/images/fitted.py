"""Images as input: brought to one size, standardised by the training data, and the encoder network over them."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, ClassVar, Self
from weakref import WeakKeyDictionary

import msgspec
import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from unspool.cells import Cell
from unspool.data import FeatureGrid, Image, Picture, image_of
from unspool.data.images import picture_of_row
from unspool.data.rows import Row
from unspool.data.vectors import vector_of
from unspool.errors import DataError, ModelFolderError, SettingError
from unspool.inputs.contract import Encoder, FittedInput
from unspool.inputs.encoders import reading_stack
from unspool.inputs.files import from_base64
from unspool.inputs.images.augmentation import changed_images
from unspool.inputs.images.embedding import GridEmbedding, PatchEmbedding, ScanEmbedding
from unspool.inputs.images.encoded import EncodedImages
from unspool.inputs.images.geometry import fitted_pixels, grid_boxes, permutation, permutation_hash, usual_size
from unspool.inputs.images.settings import ImageSettings
from unspool.layers import FeedForward, Pooling, Recurrent, ResidualNetwork
from unspool.reading import read_json
from unspool.writing import replace_file

__all__ = ["NETWORKS", "FittedImages"]

_FILE = "images.json"
_MEASURED = 10_000  # images at most that decide mean and deviation
_THUMBNAIL = 14  # pixels of the longer side of the baseline's images
_MOST_STEPS = 65_536  # of a scan pixel by pixel
_SMALL, _MEDIUM = 48, 128  # pixels of the longer side up to which the first convolution has a stride of 1 and of 2

NETWORKS = ("convolutional", "recurrent", "transformer", "feedforward")
"""Networks that read images."""

Pixels = NDArray[np.uint8]


class FittedImages(FittedInput[Image]):
    """Images of one size, standardised by the mean and standard deviation of each channel in the training data.

    Args:
        settings: Size, augmentation, scan and convolutions.
        network: Name of the network, one of `NETWORKS`.
        shape: Height and width in pixels, and channels; of features, rows, columns and features.
        mean: Mean of each channel, from 0 to 1 for pixels, (channels,).
        deviation: Standard deviation of each channel, above 0, (channels,).
        reads_features: Whether the images are grids of features from another program.
        columns: Columns of the pixels, for tables with a column for each pixel.
        seed: Seed of the augmentation.
    """

    kind: ClassVar[str] = "images"
    values_are_files = True

    def __init__(
        self,
        settings: ImageSettings,
        network: str,
        shape: tuple[int, int, int],
        mean: NDArray[np.float64],
        deviation: NDArray[np.float64],
        *,
        reads_features: bool = False,
        columns: Sequence[str] = (),
        seed: int = 0,
    ) -> None:
        self.settings, self.network, self.seed = settings, network, seed
        self.height, self.width, self.channels = shape
        self.mean, self.deviation, self.reads_features = mean, deviation, reads_features
        self._columns = tuple(columns)
        self._cache: WeakKeyDictionary[Image, NDArray[Any]] = WeakKeyDictionary()
        self._cached_bytes = 0

    @classmethod
    def learn(cls, values: Sequence[Image], columns: Sequence[str], settings: Any) -> Self:
        """Choose size and channels, and compute mean and deviation of each channel; see `FittedInput.learn`.

        Args:
            values: Images, or grids of features of one shape.
            columns: The columns of the values.
            settings: Settings with `image`, `network.network` and `training.seed`.
        """
        image: ImageSettings = settings.image
        pictures = [value for value in values if isinstance(value, Picture)]
        grids = [value for value in values if isinstance(value, FeatureGrid)]
        if pictures and grids:
            raise DataError(f"{len(pictures):,} images and {len(grids):,} grids of features came; expected one kind")
        if grids:
            shapes = {grid.values.shape for grid in grids}
            if len(shapes) > 1:
                names = ", ".join(" x ".join(map(str, shape)) for shape in sorted(shapes)[:3])
                raise DataError(f"features of different shapes came ({names}); expected one shape")
            if image.augments or image.resolution is not None:
                raise SettingError(
                    "resolution and augmentation change images, and these data are features; leave them out"
                )
            shape = next(iter(shapes))
        else:
            width, height = image.width_and_height or usual_size(pictures)
            colored = image.color == "color" or (image.color == "auto" and any(each.channels == 3 for each in pictures))
            shape = height, width, 3 if colored else 1
        network = settings.network.network
        learned = cls(
            image,
            "convolutional" if network == "auto" else network,
            shape,
            np.zeros(shape[2]),
            np.ones(shape[2]),
            reads_features=bool(grids),
            columns=columns if len(columns) > 1 else (),
            seed=settings.training.seed,
        )
        learned._measure(values)
        return learned

    def _measure(self, values: Sequence[Image]) -> None:
        """Set mean and deviation of each channel, from up to 10,000 images spread over the data."""
        count, total, squares = 0, np.zeros(self.channels), np.zeros(self.channels)
        for place in np.unique(np.linspace(0, len(values) - 1, min(len(values), _MEASURED)).astype(int)):
            cells = self.view(values[place]).reshape(-1, self.channels).astype(np.float64)
            cells = cells if self.reads_features else cells / 255
            count, total, squares = count + len(cells), total + cells.sum(0), squares + np.square(cells).sum(0)
        mean = total / count
        deviation = np.sqrt(np.maximum(squares / count - mean * mean, 0))
        self.mean, self.deviation = mean, np.where(deviation > 1e-6, deviation, 1.0)

    # ---- values ------------------------------------------------------------------------------------------------

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns of the pixels; empty for files and arrays."""
        return self._columns

    def value(self, value: Any, where: str) -> Image:
        """Read an image: a path, an array, the bytes of a file, or a row of pixels; see `image_of`.

        After `refuse_files`, a text is no path, but an image file in Base64.
        """
        if self.columns:
            if isinstance(value, str):
                value = value.replace(",", " ").split()
            if isinstance(value, Mapping):
                value = vector_of(Row(where, dict(value)), self.columns)
            if isinstance(value, list | tuple) and len(value) == len(self.columns):
                value = vector_of(Row(where, dict(zip(self.columns, value, strict=True))), self.columns)
                value = picture_of_row(value, self.width, self.height, where)
        elif not self.reads_files and isinstance(value, str | os.PathLike):
            value = from_base64(value, where, "an image file")
        image = image_of(value, where)
        self._check(image, where)
        return image

    def text(self, value: Image) -> str:
        """Return the file's name; see `FittedInput.text`."""
        return str(value)

    def is_one(self, values: Any) -> bool:
        """Whether `values` is one image: a path, bytes, an array of one image, or a `Picture`."""
        if isinstance(values, str | os.PathLike | bytes | bytearray | Picture | FeatureGrid | Mapping):
            return True
        if hasattr(values, "getbands"):  # an image of Pillow
            return True
        if not hasattr(values, "__array__"):
            return False
        array = np.asarray(values)
        return array.ndim == 2 or (array.ndim == 3 and (array.dtype.kind == "f" or array.shape[2] in (1, 3, 4)))

    def _check(self, value: Image, where: str) -> None:
        """Refuse features where the model reads images, and the other way round."""
        if isinstance(value, FeatureGrid) != self.reads_features:
            came, expected = ("an image", "features") if self.reads_features else ("features", "images")
            raise DataError(f"{came} came, and the model was trained on {expected}", where)
        shape = (self.height, self.width, self.channels)
        if isinstance(value, FeatureGrid) and value.values.shape != shape:
            came, expected = (" x ".join(map(str, each)) for each in (value.values.shape, shape))
            raise DataError(f"features of shape {came} came; expected {expected}", where)

    # ---- pixels ------------------------------------------------------------------------------------------------

    def view(self, value: Image) -> NDArray[Any]:
        """Return an image as the network sees it, before standardisation.

        Returns:
            uint8 (height, width, channels); of features, float32 (rows, columns, features).
        """
        if isinstance(value, FeatureGrid):
            return value.values
        cached = self._cache.get(value)
        if cached is not None:
            return cached
        pixels = fitted_pixels(value.pixels(), self.width, self.height, self.channels, self.settings.fit)
        if value.stored is None and self._cached_bytes + pixels.nbytes <= self.settings.cache << 20:
            self._cache[value] = pixels
            self._cached_bytes += pixels.nbytes
        return pixels

    def encode(self, values: Sequence[Image], where: Sequence[str]) -> EncodedImages:
        """Prepare images for batches; they are decoded when a batch needs them, see `FittedInput.encode`."""
        for value, place in zip(values, where, strict=True):
            self._check(value, place)
        whole: list[NDArray[Any]] = []

        def images(indices: Sequence[int], epoch: int | None) -> NDArray[Any]:
            if not whole and self._fits(len(values)):
                whole.append(self._stacked(values))
            chosen = whole[0][indices] if whole else np.stack([self.view(values[index]) for index in indices])
            if epoch is None:
                return chosen
            return changed_images(chosen, list(indices), self.settings, self.seed, epoch)

        augments = self.settings.augments and not self.reads_features
        return EncodedImages(len(values), images, self.standardised, self.steps, augments)

    def _stacked(self, values: Sequence[Image]) -> NDArray[Any]:
        """Return all images as one array; the cache then holds its parts."""
        images = np.stack([self.view(value) for value in values])
        for value, image in zip(values, images, strict=True):
            if value in self._cache:
                self._cache[value] = image
        return images

    def _fits(self, count: int) -> bool:
        """Whether some images fit into memory as one array."""
        size = 4 if self.reads_features else 1
        return count * self.height * self.width * self.channels * size <= self.settings.cache << 20

    def standardised(self, images: NDArray[Any]) -> torch.Tensor:
        """Standardise pixels or features.

        Args:
            images: (images, height, width, channels), uint8 or float32.

        Returns:
            float32 (images, channels, height, width).
        """
        scale = 1.0 if self.reads_features else 255.0
        values = torch.from_numpy(np.ascontiguousarray(images)).permute(0, 3, 1, 2).to(torch.float32, copy=True)
        mean, deviation = (torch.from_numpy(each * scale).float() for each in (self.mean, self.deviation))
        return values.sub_(mean[:, None, None]).div_(deviation[:, None, None])

    # ---- network -----------------------------------------------------------------------------------------------

    def encoder(self, network: Any, cell: str | type[Cell[Any]]) -> Encoder:
        """Build the encoder; see `FittedInput.encoder`.

        `convolutional`: residual convolutions; the states are the cells of a grid, row by row, and there is no stack.
        `recurrent`: the cell over rows or pixels. `transformer`: self-attention over patches. `feedforward`: layers
        over all pixels as one step.
        """
        settings, kind = self.settings, "convolutional" if network.network == "auto" else network.network
        if kind != self.network or kind not in NETWORKS:
            raise SettingError(f"network = {kind} does not read images: expected {', '.join(NETWORKS)} or auto")
        pooling: Pooling = getattr(network, "pooling", "mean")
        if kind == "convolutional":
            grid = GridEmbedding(self.channels, None if self.reads_features else self._convolutions())
            return Encoder(grid, None, grid.output_size, pooling, drops_inputs=False)
        if kind == "feedforward":
            pixels = ScanEmbedding(self.height * self.width * self.channels)
            layers = FeedForward(pixels.output_size, network.hidden, num_layers=network.layers, dropout=network.dropout)
            return Encoder(pixels, layers, layers.output_size, "last", drops_inputs=False)
        embedding: nn.Module
        if kind == "transformer":
            embedding = patches = PatchEmbedding(self.channels, self._patch)
            width = patches.output_size
        else:
            self._refuse_long_scans()
            width = self.channels * (1 if settings.scan == "pixels" else self.width)
            embedding = ScanEmbedding(width, self.order)
        stack = reading_stack(network, kind, cell, width)
        directions = stack.directions if isinstance(stack, Recurrent) else 1
        return Encoder(embedding, stack, stack.output_size, pooling, drops_inputs=False, directions=directions)

    def _convolutions(self) -> ResidualNetwork:
        residual = self.settings.residual
        return ResidualNetwork(self.channels, residual.all_widths, blocks=residual.blocks, stem=self._stem)

    @property
    def _stem(self) -> int:
        chosen, side = self.settings.residual.stem, max(self.height, self.width)
        return (1 if side <= _SMALL else 2 if side <= _MEDIUM else 4) if chosen == "auto" else int(chosen)

    @property
    def _patch(self) -> int:
        return 1 if self.reads_features else self.settings.patch

    @property
    def order(self) -> NDArray[np.int64] | None:
        """Permutation of the pixels that a recurrent network reads, int64 (pixels,); None: in order."""
        if self.network != "recurrent" or self.settings.permute is None:
            return None
        self._refuse_long_scans()
        return permutation(self.settings.permute, self.height * self.width)

    def _refuse_long_scans(self) -> None:
        pixels = self.height * self.width
        if self.network == "recurrent" and self.settings.scan == "pixels" and pixels > _MOST_STEPS:
            raise SettingError(
                f"images of {self.width} x {self.height} have {pixels:,} pixels, one step each; expected at most "
                f"{_MOST_STEPS:,}: set a smaller size, or scan = rows"
            )

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of the steps of an image: cells, patches, pixels; rows are a grid of one column."""
        if self.network == "feedforward":
            return 1, 1
        if self.network == "recurrent":
            return self.height, self.width if self.settings.scan == "pixels" else 1
        if self.network == "transformer":
            side = self._patch
        else:
            side = 1 if self.reads_features else self._stem * 2 ** (len(self.settings.residual.all_widths) - 1)
        return -(-self.height // side), -(-self.width // side)

    @property
    def steps(self) -> int:
        """Steps of an image after the embedding."""
        rows, columns = self.grid
        return rows * columns

    # ---- views -------------------------------------------------------------------------------------------------

    def boxes(self) -> NDArray[np.float32]:
        """Return the box of each step: left, top, right, bottom, as shares of the image that `view` gives.

        Convolutions also see pixels around a box.

        Returns:
            float32 (steps, 4), between 0 and 1, in the order of the steps.
        """
        boxes = grid_boxes(*self.grid)
        order = self.order
        return boxes if order is None else boxes[order]

    def positions(self, value: Image) -> tuple[str, ...]:
        """Label each step with its row and column, from 1, such as `2,3`; rows of pixels with their number."""
        rows, columns = self.grid
        if (rows, columns) == (1, 1):
            return ("image",)
        names = [
            f"{row},{column}" if columns > 1 else f"row {row}"
            for row in range(1, rows + 1)
            for column in range(1, columns + 1)
        ]
        order = self.order
        return tuple(names if order is None else [names[place] for place in order])

    def features(self, values: Sequence[Image]) -> NDArray[np.float32]:
        """Return standardised pixels of images scaled down to 14 a side, (values, features); of features, all."""
        if self.reads_features:
            flat = np.stack([self.view(value) for value in values])
        else:
            flat = np.stack([_thumbnail(self.view(value)) for value in values])
        standardised: NDArray[np.float32] = self.standardised(flat).flatten(1).numpy()
        return standardised

    def summary(self) -> str:
        """Return size and colour, and the permutation's hash, in words."""
        if self.reads_features:
            return f"{self.height} x {self.width} cells of {self.channels} features"
        size = f"{self.width} x {self.height} pixels in {'colour' if self.channels == 3 else 'grey'}"
        order = self.order
        if order is None:
            return size
        return f"{size}, permuted by seed {self.settings.permute} (SHA-256 {permutation_hash(order)})"

    # ---- model folder ------------------------------------------------------------------------------------------

    def save(self, folder: Path) -> None:
        """Write `images.json` into a folder."""
        record = _Record(
            self.height,
            self.width,
            self.channels,
            self.mean.tolist(),
            self.deviation.tolist(),
            self.reads_features,
            list(self.columns),
        )
        replace_file(folder / _FILE, msgspec.json.encode(record) + b"\n")

    @classmethod
    def load(cls, folder: Path, settings: Any) -> Self:
        """Read the file that `save` wrote; see `FittedInput.load`."""
        record = read_json(folder / _FILE, _Record, "the size of the images, their mean and deviation")
        if not len(record.mean) == len(record.deviation) == record.channels:
            raise ModelFolderError(
                f"{folder / _FILE}: mean and deviation are damaged: expected {record.channels} numbers"
            )
        if not record.features and record.channels not in (1, 3):
            raise ModelFolderError(f"{folder / _FILE}: channels = {record.channels}: expected 1 or 3")
        if record.columns and len(record.columns) != record.height * record.width:
            raise ModelFolderError(f"{folder / _FILE}: the columns are damaged: expected one for each pixel")
        network = settings.network.network
        return cls(
            settings.image,
            "convolutional" if network == "auto" else network,
            (record.height, record.width, record.channels),
            np.array(record.mean),
            np.array(record.deviation),
            reads_features=record.features,
            columns=record.columns,
            seed=settings.training.seed,
        )


def _thumbnail(pixels: Pixels) -> Pixels:
    """Return the means of blocks of an image, at most 14 a side."""
    height, width = pixels.shape[:2]
    step = -(-max(height, width) // _THUMBNAIL)
    if step == 1:
        return pixels
    rows, columns = -(-height // step), -(-width // step)
    padded = np.pad(pixels, ((0, rows * step - height), (0, columns * step - width), (0, 0)), mode="edge")
    blocks = padded.reshape(rows, step, columns, step, -1)
    means: Pixels = np.rint(blocks.mean((1, 3))).astype(np.uint8)
    return means


Number = Annotated[float, msgspec.Meta(ge=-1e30, le=1e30)]
Side = Annotated[int, msgspec.Meta(ge=1, le=4096)]


class _Record(msgspec.Struct):
    height: Side
    width: Side
    channels: Annotated[int, msgspec.Meta(ge=1, le=65_536)]
    mean: Annotated[list[Number], msgspec.Meta(max_length=65_536)]
    deviation: Annotated[list[Annotated[float, msgspec.Meta(gt=0, le=1e30)]], msgspec.Meta(max_length=65_536)]
    features: bool = False
    columns: Annotated[list[str], msgspec.Meta(max_length=1 << 20)] = []
