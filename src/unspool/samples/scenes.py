"""Generated pictures with captions: coloured shapes and digits, with the place of each object that a word names.

`generate` draws scenes of one or two objects and describes each in every way that the templates allow. A combination
is a size, a colour and a shape. Some combinations occur in the test alone, some in the validation alone: a model that
names them has learned sizes, colours and shapes apart.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Literal, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from unspool.errors import UsageError
from unspool.samples.drawing import SHAPES, Box, box_of, coverage

__all__ = [
    "COLOURS",
    "SIZE",
    "TEST_COMBINATIONS",
    "VALID_COMBINATIONS",
    "Caption",
    "Scene",
    "generate",
]

T = TypeVar("T")
Part = Literal["train", "valid", "test"]

SIZE = 48
"""Height and width of a picture, in pixels."""
COLOURS: Mapping[str, tuple[int, int, int]] = {
    "red": (220, 40, 40),
    "green": (40, 170, 60),
    "blue": (50, 90, 230),
    "yellow": (235, 205, 40),
    "white": (245, 245, 245),
    "purple": (150, 60, 190),
}
"""Colours of objects, as red, green and blue, 0 to 255."""
VALID_COMBINATIONS = frozenset(
    {
        ("small", "red", "ring"),
        ("large", "green", "four"),
        ("small", "blue", "triangle"),
        ("large", "yellow", "circle"),
        ("small", "white", "seven"),
        ("large", "purple", "two"),
    }
)
"""Sizes with colours and shapes that occur in the validation alone."""
TEST_COMBINATIONS = frozenset(
    {
        ("large", "red", "seven"),
        ("small", "green", "circle"),
        ("large", "blue", "two"),
        ("small", "yellow", "cross"),
        ("large", "white", "ring"),
        ("small", "purple", "square"),
    }
)
"""Sizes with colours and shapes that occur in the test alone."""
_SIZES = {"small": (6.0, 7.0), "large": (9.5, 10.5)}  # half sizes, in pixels
_NOISE = 6.0  # amplitude of the noise, of 255
_MARGIN = 1.0  # pixels between an object and the edge
_HALVES = (
    (Box(0, 0, SIZE / 2, SIZE), Box(SIZE / 2, 0, SIZE, SIZE)),
    (Box(0, 0, SIZE, SIZE / 2), Box(0, SIZE / 2, SIZE, SIZE)),
)
_Words = list[tuple[str, tuple[int, ...]]]  # each word with the indices of the objects that it describes


class Caption(NamedTuple):
    """One description of a scene."""

    words: tuple[str, ...]
    boxes: tuple[tuple[Box, ...], ...]
    """For each word the boxes of the objects that the word describes; empty for a word about no object alone."""

    @property
    def text(self) -> str:
        """The words with blanks between."""
        return " ".join(self.words)


@dataclass(frozen=True, eq=False)
class Scene:
    """A picture, and every caption that is true of it by the templates."""

    picture: NDArray[np.uint8]
    """Red, green and blue, uint8 (height, width, 3)."""
    captions: tuple[Caption, ...]


class _Thing(NamedTuple):
    size: str
    colour: str
    shape: str


class _Placed(NamedTuple):
    thing: _Thing
    x: float
    y: float
    radius: float


def generate(count: int, seed: int = 0, part: Part = "train") -> list[Scene]:
    """Generate scenes; the same arguments give the same scenes.

    Args:
        count: Number of scenes.
        seed: Seed of the random generator.
        part: train: neither of the held-out combinations occurs; valid, test: each scene has at least one object of
            that part's held-out combinations, and none of the other part's.

    Raises:
        UsageError: If there is no such part.
    """
    if part not in ("train", "valid", "test"):
        raise UsageError(f"there is no part {part!r} of the scenes; choose train, valid or test")
    artist = _Artist(Random(3 * seed + ("train", "valid", "test").index(part)), part)
    return [artist.scene() for _ in range(count)]


class _Artist:
    """Draws the scenes of one part."""

    def __init__(self, random: Random, part: Part) -> None:
        self.random = random
        forbidden = {"train": VALID_COMBINATIONS | TEST_COMBINATIONS, "valid": TEST_COMBINATIONS}.get(
            part, VALID_COMBINATIONS
        )
        every = (_Thing(size, colour, shape) for size in _SIZES for colour in COLOURS for shape in SHAPES)
        self.combinations = [each for each in every if each not in forbidden]
        held_out = {"valid": VALID_COMBINATIONS, "test": TEST_COMBINATIONS}.get(part, frozenset())
        self.held_out = [_Thing(*each) for each in sorted(held_out)]

    def scene(self) -> Scene:
        layout = self.pick((self.single, self.across, self.down))
        placed, captions = layout()
        return self.drawn(placed, captions)

    # ---- layouts: the objects of a scene, and its captions -------------------------------------------------------

    def single(self) -> tuple[list[_Placed], list[_Words]]:
        (thing,) = self.things(1)
        placed = self.placed(thing, Box(0, 0, SIZE, SIZE))
        return [placed], [[("a", ()), *_described(thing, 0)]]

    def across(self) -> tuple[list[_Placed], list[_Words]]:
        return self.pair(*_HALVES[0], "left", "right")

    def down(self) -> tuple[list[_Placed], list[_Words]]:
        return self.pair(*_HALVES[1], "above", "below")

    def pair(
        self,
        first: Box,
        second: Box,
        before: str,
        after: str,
    ) -> tuple[list[_Placed], list[_Words]]:
        """A small red circle left of a large blue square; a large blue square right of a small red circle."""
        one, two = self.things(2)
        placed = [self.placed(one, first), self.placed(two, second)]
        middle = self.between_limits(*self.limits(placed[0].radius, placed[1].radius))
        for place, each in enumerate(placed):  # objects side by side have about the same height
            other = middle + self.jitter()
            placed[place] = each._replace(y=other) if before == "left" else each._replace(x=other)
        tail = [("of", ())] if before == "left" else []
        captions = [
            [("a", ()), *_described(one, 0), (before, ()), *tail, ("a", ()), *_described(two, 1)],
            [("a", ()), *_described(two, 1), (after, ()), *tail, ("a", ()), *_described(one, 0)],
        ]
        return placed, captions

    # ---- draws ---------------------------------------------------------------------------------------------------

    def things(self, count: int) -> list[_Thing]:
        """Draw things that differ in colour and shape; one of them of a held-out combination, if there are any."""
        while True:
            things = [self.pick(self.combinations) for _ in range(count)]
            if self.held_out:
                things[self.below(count)] = self.pick(self.held_out)
            if len({thing.colour for thing in things}) == len({thing.shape for thing in things}) == count:
                return things

    def radius(self, thing: _Thing) -> float:
        return self.between_limits(*_SIZES[thing.size])

    def placed(self, thing: _Thing, area: Box) -> _Placed:
        radius = self.radius(thing)
        edge = radius + _MARGIN
        x = self.between_limits(area.left + edge, area.right - edge)
        y = self.between_limits(area.top + edge, area.bottom - edge)
        return _Placed(thing, x, y, radius)

    @staticmethod
    def limits(*radii: float) -> tuple[float, float]:
        edge = max(radii) + _MARGIN + 1
        return edge, SIZE - edge

    def jitter(self) -> float:
        return self.between_limits(-1.0, 1.0)

    def between_limits(self, low: float, high: float) -> float:
        return low + (high - low) * self.random.random()

    def below(self, number: int) -> int:
        # Python guarantees only the sequence of `random()`, no other method of `Random`, across its versions.
        return int(self.random.random() * number)

    def pick(self, choices: Sequence[T]) -> T:
        return choices[self.below(len(choices))]

    def drawn(self, placed: Sequence[_Placed], captions: list[_Words]) -> Scene:
        ground = np.array([self.between_limits(60, 130)] * 3) + [self.between_limits(-12, 12) for _ in range(3)]
        picture = np.broadcast_to(ground, (SIZE, SIZE, 3)).copy()
        boxes = []
        for each in placed:
            covered = coverage(each.thing.shape, SIZE, each.x, each.y, each.radius)
            shade = self.between_limits(0.85, 1.0)
            colour = np.array(COLOURS[each.thing.colour]) * shade
            picture += covered[:, :, None] * (colour - picture)
            boxes.append(box_of(covered))
        picture += self.noise()
        return Scene(
            np.clip(np.rint(picture), 0, 255).astype(np.uint8),
            tuple(
                Caption(
                    tuple(word for word, _ in words),
                    tuple(tuple(boxes[place] for place in places) for _, places in words),
                )
                for words in captions
            ),
        )

    def noise(self) -> NDArray[np.float64]:
        generator = np.random.Generator(np.random.PCG64(self.below(2**31)))
        return generator.random((SIZE, SIZE, 1)) * 2 * _NOISE - _NOISE


def _described(thing: _Thing, place: int) -> _Words:
    """Return size, colour and shape of a thing, each word with the object's index."""
    return [(word, (place,)) for word in thing]
