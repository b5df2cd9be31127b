"""Generated pictures with captions: coloured shapes and digits, with the place of each object that a word names.

`generate` draws scenes of one or two objects and describes each in every way that the templates allow. A caption names
the left or upper object first, so that the words before a word decide which object the word describes. A sixth of the
pairs of coloured shapes, such as a red circle with a blue square, occurs in the validation alone, and another sixth in
the test alone. Six things, such as a large red seven, occur in the part `novel` alone, though their sizes, colours and
shapes occur apart in training.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Literal, NamedTuple, TypeVar
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from unspool.errors import UsageError
from unspool.samples.drawing import SHAPES, Box, box_of, coverage

__all__ = [
    "COLOURS",
    "NOVEL",
    "SIZE",
    "Caption",
    "Scene",
    "generate",
    "part_of_pair",
]

T = TypeVar("T")
Part = Literal["train", "valid", "test", "novel"]

PARTS: tuple[Part, ...] = ("train", "valid", "test", "novel")

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
NOVEL = frozenset(
    {
        ("large", "red", "seven"),
        ("small", "green", "circle"),
        ("large", "blue", "two"),
        ("small", "yellow", "cross"),
        ("large", "white", "ring"),
        ("small", "purple", "square"),
    }
)
"""Sizes with colours and shapes that occur in the part `novel` alone."""
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
        part: valid, test: two objects whose coloured shapes are a pair of that part. novel: at least one thing that no
            other part has. train: one object, or a pair of none of these.

    Raises:
        UsageError: If there is no such part.
    """
    if part not in PARTS:
        raise UsageError(f"there is no part {part!r} of the scenes; choose {', '.join(PARTS[:-1])} or {PARTS[-1]}")
    artist = _Artist(Random(len(PARTS) * seed + PARTS.index(part)), part)
    return [artist.scene() for _ in range(count)]


def part_of_pair(one: Sequence[str], other: Sequence[str]) -> Part:
    """Return the part whose scenes show two things, each given by its size, colour and shape; the size does not matter.

    Checksums decide, so that the parts are the same everywhere.
    """
    names = sorted(" ".join(each[-2:]) for each in (one, other))
    return {0: "valid", 1: "test"}.get(crc32(" with ".join(names).encode()) % 6, "train")  # type: ignore[return-value]


class _Artist:
    """Draws the scenes of one part."""

    def __init__(self, random: Random, part: Part) -> None:
        self.random, self.part = random, part
        every = (_Thing(size, colour, shape) for size in _SIZES for colour in COLOURS for shape in SHAPES)
        self.usual = [thing for thing in every if thing not in NOVEL]
        self.novel = [_Thing(*each) for each in sorted(NOVEL)]

    def scene(self) -> Scene:
        both = (self.across, self.down)
        layout = self.pick((self.single, *both) if self.part in ("train", "novel") else both)
        placed, captions = layout()
        return self.drawn(placed, captions)

    # ---- layouts: the objects of a scene, and its captions -------------------------------------------------------

    def single(self) -> tuple[list[_Placed], list[_Words]]:
        (thing,) = self.things(1)
        placed = self.placed(thing, Box(0, 0, SIZE, SIZE))
        return [placed], [[("a", ()), *_described(thing, 0)]]

    def across(self) -> tuple[list[_Placed], list[_Words]]:
        return self.pair(*_HALVES[0], ("left", "of"), ("right", "of"))

    def down(self) -> tuple[list[_Placed], list[_Words]]:
        return self.pair(*_HALVES[1], ("above",), ("below",))

    def pair(
        self, first: Box, second: Box, before: tuple[str, ...], after: tuple[str, ...]
    ) -> tuple[list[_Placed], list[_Words]]:
        """A small red circle left of a large blue square; right of a small red circle is a large blue square."""
        one, two = self.things(2)
        placed = [self.placed(one, first), self.placed(two, second)]
        middle = self.between_limits(*self.limits(placed[0].radius, placed[1].radius))
        for place, each in enumerate(placed):  # objects side by side have about the same height
            other = middle + self.jitter()
            placed[place] = each._replace(y=other) if before[0] == "left" else each._replace(x=other)
        nouns = [[("a", ()), *_described(thing, place)] for place, thing in enumerate((one, two))]
        captions = [
            [*nouns[0], *_plain(before), *nouns[1]],
            [*_plain(after), *nouns[0], *_plain(("is",)), *nouns[1]],
        ]
        return placed, captions

    # ---- draws ---------------------------------------------------------------------------------------------------

    def things(self, count: int) -> list[_Thing]:
        """Draw things of this part that differ in colour and shape."""
        while True:
            things = [self.pick(self.usual) for _ in range(count)]
            if self.part == "novel":
                things[self.below(count)] = self.pick(self.novel)
            differ = len({thing.colour for thing in things}) == len({thing.shape for thing in things}) == count
            if differ and (count == 1 or self.part in ("novel", part_of_pair(things[0], things[1]))):
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


def _plain(words: Sequence[str]) -> _Words:
    """Return words that describe no object."""
    return [(word, ()) for word in words]


def _described(thing: _Thing, place: int) -> _Words:
    """Return size, colour and shape of a thing, each word with the object's index."""
    return [(word, (place,)) for word in thing]
