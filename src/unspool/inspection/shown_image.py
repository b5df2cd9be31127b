"""`ShownImage`, the image that the columns of a trace's maps are parts of: pixels, and a box for each column."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from unspool.errors import ShapeError

__all__ = ["ShownImage"]

_MOST_PIXELS = 256 * 256


@dataclass(frozen=True, eq=False)
class ShownImage:
    """An image whose parts a network looked at.

    Args:
        pixels: Red, green and blue, uint8 (height, width, 3).
        boxes: Box of each token: left, top, right and bottom as shares of width and height, (tokens, 4).

    Raises:
        ShapeError: If a shape does not fit.
    """

    pixels: NDArray[np.uint8]
    boxes: NDArray[np.float32]

    def __post_init__(self) -> None:
        pixels, boxes = np.array(self.pixels, np.uint8), np.array(self.boxes, np.float32)
        if pixels.ndim != 3 or pixels.shape[2] != 3 or not pixels.size:
            raise ShapeError(f"pixels of shape {pixels.shape} came; expected (height, width, 3)")
        if boxes.ndim != 2 or boxes.shape[1] != 4:
            raise ShapeError(f"boxes of shape {boxes.shape} came; expected (tokens, 4)")
        for name, array in (("pixels", pixels), ("boxes", boxes)):
            array.flags.writeable = False
            object.__setattr__(self, name, array)

    @classmethod
    def of(cls, pixels: NDArray[np.uint8], boxes: NDArray[np.float32]) -> ShownImage:
        """Make one of an image in grey or colour, uint8 (height, width, 1 or 3); a large one is scaled down."""
        step = int(np.ceil(np.sqrt(pixels.shape[0] * pixels.shape[1] / _MOST_PIXELS)))
        colour = pixels[::step, ::step]
        return cls(np.repeat(colour, 3, axis=2) if colour.shape[2] == 1 else colour, boxes)

    def record(self) -> dict[str, Any]:
        """Return the image as a JSON object: height, width, pixels in Base64, and boxes."""
        height, width = self.pixels.shape[:2]
        pixels = base64.b64encode(self.pixels.tobytes()).decode()
        boxes = self.boxes.astype(str).astype(float).tolist()  # the fewest digits that read back as the same float32
        return {"height": height, "width": width, "pixels": pixels, "boxes": boxes}

    @classmethod
    def of_record(cls, record: dict[str, Any]) -> ShownImage:
        """Make the image of such an object.

        Raises:
            ValueError: If the numbers of pixels don't fit.
        """
        pixels = np.frombuffer(base64.b64decode(record["pixels"], validate=True), np.uint8)
        boxes = np.array(record["boxes"], np.float32)
        return cls(pixels.reshape(record["height"], record["width"], 3), boxes)

    def shading(self, weights: NDArray[Any]) -> NDArray[np.float32]:
        """Return the weight of each pixel, (height, width), for the weights of the boxes, (tokens,).

        A pixel has the weight of its box, divided by that of the largest one; smoothed towards neighbouring boxes.
        """
        height, width = self.pixels.shape[:2]
        shades = np.zeros((height, width), np.float32)
        for (left, top, right, bottom), weight in zip(self.boxes, np.nan_to_num(weights), strict=True):
            rows = slice(round(float(top) * height), max(round(float(bottom) * height), round(float(top) * height) + 1))
            columns = slice(
                round(float(left) * width), max(round(float(right) * width), round(float(left) * width) + 1)
            )
            shades[rows, columns] = np.maximum(shades[rows, columns], weight)
        largest = float(shades.max())
        return shades / largest if largest > 0 else shades

    def lit(self, weights: NDArray[Any], *, dark: float = 0.25) -> NDArray[np.uint8]:
        """Return the image as if lit by weights of its boxes, uint8 (height, width, 3); unlit parts keep `dark`."""
        shades = dark + (1 - dark) * self.shading(weights)[:, :, None]
        lit: NDArray[np.uint8] = np.rint(self.pixels * shades).astype(np.uint8)
        return lit

    def __eq__(self, other: object) -> bool:
        """Return whether both images are equal, bit by bit."""
        if not isinstance(other, ShownImage):
            return NotImplemented
        pairs = ((self.pixels, other.pixels), (self.boxes, other.boxes))
        return all(one.shape == two.shape and one.tobytes() == two.tobytes() for one, two in pairs)

    __hash__: Any = None
