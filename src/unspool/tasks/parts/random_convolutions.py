"""Random convolutions with ridge regression: the baseline of series, and a part of the classifier of series."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, NamedTuple

import msgspec
import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import ArrayLike, NDArray
from torch import Tensor

from unspool.errors import ModelFolderError
from unspool.reading import read_json
from unspool.tasks.parts.calibration import fit_temperature
from unspool.tasks.parts.metrics import classification_scores
from unspool.training import checkpoint
from unspool.writing import replace_file

__all__ = ["RandomConvolutions"]

_KERNELS = 1000
_AT_ONCE = 64
_MOST = 5000  # series that the regression learns from: bounds time and memory
_LONGEST = 100_000  # steps, of a stored record

Features = NDArray[np.float32]


class RandomConvolutions:
    r"""Ridge regression over the maximum and the share of positive outputs of random dilated convolutions.

    Source: Dempster et al. 2020, "ROCKET", arXiv:1910.13051: kernels of 7, 9 or 11 steps with normal weights of mean 0,
    a uniform bias, and dilations :math:`2^u` up to the length of the series. Differs: 1,000 kernels instead of 10,000;
    zeros past the end of shorter series, whose outputs don't count; the penalty is chosen by generalised
    cross-validation; the outputs become logits by the temperature that fits the leave-one-out outputs best.

    Args:
        channels: Number of channels.
        longest: Steps of the longest training series, which bound the dilations.
        seed: Seed of the kernels.
        mean: Mean of each feature, (features,).
        deviation: Standard deviation of each feature, above 0, (features,).
        weights: From standardised features to logits, (features, classes).
        bias: (classes,)
    """

    title = "random convolutions"

    def __init__(
        self,
        channels: int,
        longest: int,
        seed: int,
        mean: NDArray[np.float64],
        deviation: NDArray[np.float64],
        weights: NDArray[np.float64],
        bias: NDArray[np.float64],
    ) -> None:
        self._drawn_by = channels, longest, seed
        self._kernels = _draw(channels, longest, seed)
        self._mean, self._deviation, self._weights, self._bias = mean, deviation, weights, bias

    @classmethod
    def learn(
        cls, series: Sequence[Features], targets: NDArray[np.int64], classes: int, *, seed: int = 0
    ) -> RandomConvolutions:
        """Draw kernels from a seed, and fit the regression to standardised series.

        Args:
            series: The series, (steps, channels) each; of more than 5,000, as many spread over them count.
            targets: Class of each, (series,).
            classes: Number of classes.
            seed: Seed of the kernels.
        """
        places = np.unique(np.linspace(0, len(series) - 1, min(_MOST, len(series))).round().astype(np.int64))
        series, targets = [series[place] for place in places], targets[places]
        channels, longest = series[0].shape[1], max(map(len, series))
        features = _features(_draw(channels, longest, seed), series)
        mean, deviation = features.mean(0), features.std(0)
        deviation = np.where(deviation > 1e-8, deviation, 1.0)
        outputs = np.where(np.arange(classes) == targets[:, None], 1.0, -1.0)
        bias = outputs.mean(0)
        weights, unseen = _ridge((features - mean) / deviation, outputs - bias)
        temperature = fit_temperature(unseen + bias, targets)
        return cls(channels, longest, seed, mean, deviation, weights / temperature, bias / temperature)

    def logits(self, series: Sequence[Features]) -> Tensor:
        """Return the logits of standardised series, (series, classes)."""
        inputs = (_features(self._kernels, series) - self._mean) / self._deviation
        return torch.from_numpy((inputs @ self._weights + self._bias).astype(np.float32))

    def predict(self, series: Sequence[Features]) -> NDArray[np.int64]:
        """Return the class of each series, (series,)."""
        best: NDArray[np.int64] = self.logits(series).numpy().argmax(1)
        return best

    def evaluate(self, series: Sequence[Features], targets: ArrayLike) -> dict[str, float]:
        """Compute the scores of the classifier task; see `classification_scores`."""
        return classification_scores(targets, self.predict(series), len(self._bias))

    def save(self, folder: Path) -> None:
        """Write `convolutions.json` and `convolutions.safetensors` into a folder."""
        replace_file(folder / "convolutions.json", msgspec.json.encode(_Record(*self._drawn_by)) + b"\n")
        parts = {name: torch.from_numpy(getattr(self, f"_{name}")) for name in _PARTS}
        checkpoint.write(folder / "convolutions.safetensors", parts, {})

    @classmethod
    def load(cls, folder: Path, channels: int, classes: int) -> RandomConvolutions | None:
        """Read the files that `save` wrote; return None if there are none.

        Args:
            folder: Folder of the files.
            channels: Channels of the series.
            classes: Number of classes.

        Raises:
            ModelFolderError: If a file is damaged.
        """
        path = folder / "convolutions.json"
        if not path.exists():
            return None
        record = read_json(path, _Record, "the random convolutions")
        if record.channels != channels:
            raise ModelFolderError(f"{path} is damaged: {record.channels} channels, and the series have {channels}")
        file = folder / "convolutions.safetensors"
        parts, _ = checkpoint.read(file)
        width = 2 * _KERNELS
        expected = {"mean": (width,), "deviation": (width,), "weights": (width, classes), "bias": (classes,)}
        if {name: tuple(part.shape) for name, part in parts.items()} != expected:
            raise ModelFolderError(f"{file} is damaged: its weights do not fit {classes} labels")
        checkpoint.refuse_not_finite(parts, file)
        numbers = [parts[name].double().numpy() for name in _PARTS]
        return cls(record.channels, record.longest, record.seed, *numbers)


_PARTS = ("mean", "deviation", "weights", "bias")


class _Record(msgspec.Struct):
    channels: Annotated[int, msgspec.Meta(ge=1, le=10_000)]
    longest: Annotated[int, msgspec.Meta(ge=1, le=_LONGEST)]
    seed: Annotated[int, msgspec.Meta(ge=0, le=2**63 - 1)]


def _draw(channels: int, longest: int, seed: int) -> list[tuple[Tensor, Tensor, int]]:
    generator = np.random.default_rng(seed)
    groups: dict[tuple[int, int], int] = {}
    for _ in range(_KERNELS):
        size = int(generator.choice((7, 9, 11)))
        most = max(0.0, np.log2(max(1, (longest - 1) / (size - 1))))
        dilation = int(2 ** generator.uniform(0, most))
        groups[size, dilation] = groups.get((size, dilation), 0) + 1
    kernels = []
    for (size, dilation), count in sorted(groups.items()):
        weights = generator.normal(size=(count, channels, size))
        weights -= weights.mean((1, 2), keepdims=True)
        bias = generator.uniform(-1, 1, count)
        kernels.append((torch.from_numpy(weights).float(), torch.from_numpy(bias).float(), dilation))
    return kernels


@torch.no_grad()
def _features(kernels: Sequence[tuple[Tensor, Tensor, int]], series: Sequence[Features]) -> NDArray[np.float64]:
    """Return maximum and share of positive outputs of every kernel, (series, 2 · kernels)."""
    rows = []
    for begin in range(0, len(series), _AT_ONCE):
        part = series[begin : begin + _AT_ONCE]
        lengths = torch.tensor([len(each) for each in part])
        padded = torch.zeros(len(part), part[0].shape[1], int(lengths.max()))
        for place, each in enumerate(part):
            padded[place, :, : len(each)] = torch.from_numpy(each.T.copy())
        valid = (torch.arange(padded.shape[-1]) < lengths[:, None])[:, None]
        columns = []
        for weights, bias, dilation in kernels:
            half = dilation * (weights.shape[-1] // 2)
            outputs = F.conv1d(padded, weights, bias, dilation=dilation, padding=half)
            columns.append(outputs.masked_fill(~valid, -torch.inf).amax(-1))
            columns.append(((outputs > 0) & valid).sum(-1) / lengths[:, None])
        rows.append(torch.cat(columns, 1))
    return torch.cat(rows).double().numpy()


class _Ridge(NamedTuple):
    """Weights of a ridge regression, and what it predicts of each example without having seen it."""

    weights: NDArray[np.float64]
    unseen: NDArray[np.float64]


def _ridge(inputs: NDArray[np.float64], outputs: NDArray[np.float64]) -> _Ridge:
    """Fit ridge regression, with the penalty of the smallest generalised cross-validation error."""
    left, values, right = np.linalg.svd(inputs, full_matrices=False)
    projected, count = left.T @ outputs, len(inputs)
    best, error = _Ridge(np.zeros((inputs.shape[1], outputs.shape[1])), np.zeros_like(outputs)), np.inf
    for penalty in np.logspace(-3, 5, 17):
        shrink = values**2 / (values**2 + penalty)
        rest = outputs - left @ (shrink[:, None] * projected)
        gcv = float(np.square(rest).mean() / (1 - shrink.sum() / count + 1e-9) ** 2)
        if gcv < error:
            error = gcv
            own = np.square(left) @ shrink  # what each example adds to its own prediction
            unseen = outputs - rest / np.maximum(1 - own, 1e-9)[:, None]
            best = _Ridge(right.T @ ((values / (values**2 + penalty))[:, None] * projected), unseen)
    return best
