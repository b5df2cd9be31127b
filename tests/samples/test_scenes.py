"""Generated scenes: true captions, boxes around the objects, parts without shared combinations."""

from __future__ import annotations

import hashlib
import zlib
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from unspool.errors import UsageError
from unspool.samples.drawing import SHAPES, Box, box_of, coverage
from unspool.samples.scene_files import captions_with_boxes, write_folder
from unspool.samples.scenes import (
    COLOURS,
    NOVEL,
    SIZE,
    Caption,
    Scene,
    generate,
    part_of_pair,
)

_CENTRE = {"above": (1, -1), "below": (1, 1), "left": (0, -1), "right": (0, 1)}


@pytest.fixture(scope="module")
def scenes() -> dict[str, list[Scene]]:
    return {part: generate(150 if part != "train" else 700, 3, part) for part in ("train", "valid", "test", "novel")}  # type: ignore[arg-type]


def _combinations(scene: Scene) -> set[tuple[str, str, str]]:
    """Return size, colour and shape of the objects of a scene."""
    words = scene.captions[0].words
    return {(words[place - 1], colour, words[place + 1]) for place, colour in enumerate(words) if colour in COLOURS}


def test_parts_share_no_pair_of_coloured_shapes(scenes: dict[str, list[Scene]]) -> None:
    pairs = {
        part: {frozenset(each[1:] for each in things) for scene in some if len(things := _combinations(scene)) == 2}
        for part, some in scenes.items()
    }
    assert not pairs["train"] & (pairs["valid"] | pairs["test"])
    assert not pairs["valid"] & pairs["test"]
    for part in ("train", "valid", "test"):
        assert len(pairs[part]) > 60
        assert {part_of_pair(*pair) for pair in pairs[part]} == {part}
    things = {part: {thing for pair in pairs[part] for thing in pair} for part in pairs}
    assert things["valid"] | things["test"] <= things["train"]


def test_novel_things_occur_in_no_other_part(scenes: dict[str, list[Scene]]) -> None:
    seen = {part: {each for scene in some for each in _combinations(scene)} for part, some in scenes.items()}
    for part in ("train", "valid", "test"):
        assert not seen[part] & NOVEL
    assert seen["novel"] >= NOVEL
    assert all(_combinations(scene) & NOVEL for scene in scenes["novel"])
    assert {thing[1:] for thing in NOVEL} <= {thing[1:] for thing in seen["train"]}


def test_the_colour_of_a_word_fills_its_box(scenes: dict[str, list[Scene]]) -> None:
    for scene in scenes["test"]:
        for caption in scene.captions:
            for word, boxes in zip(caption.words, caption.boxes, strict=True):
                for box in boxes if word in COLOURS else ():
                    assert _share_of_colour(scene.picture, box, word) > 0.15


def _share_of_colour(picture: NDArray[np.uint8], box: Box, colour: str) -> float:
    left, top, right, bottom = map(int, box)
    inside = picture[top:bottom, left:right].astype(float).reshape(-1, 3)
    goal = np.array(COLOURS[colour]) * 0.92
    return float((np.abs(inside - goal).max(1) < 40).mean())


def test_relations_are_those_of_the_boxes(scenes: dict[str, list[Scene]]) -> None:
    seen = set()
    for caption in (caption for scene in scenes["train"] for caption in scene.captions):
        objects = list(dict.fromkeys(boxes for boxes in caption.boxes if len(boxes) == 1))
        for word, (axis, sign) in _CENTRE.items():
            if word in caption.words:
                first, second = (_middle(boxes[0]) for boxes in objects)
                if caption.words[0] == word:  # right of a circle is a square: the square is the right one
                    first, second = second, first
                assert sign * (first[axis] - second[axis]) > 0
                assert abs(first[1 - axis] - second[1 - axis]) < abs(first[axis] - second[axis])
                seen.add(word)
    assert seen == set(_CENTRE)


def test_the_left_or_upper_object_comes_first(scenes: dict[str, list[Scene]]) -> None:
    for caption in (caption for scene in scenes["test"] for caption in scene.captions):
        first, second = (_middle(boxes[0]) for boxes in dict.fromkeys(filter(None, caption.boxes)))
        assert sum(first) < sum(second)


def _middle(box: Box) -> tuple[float, float]:
    return (box.left + box.right) / 2, (box.top + box.bottom) / 2


def test_boxes_lie_in_the_picture_and_sizes_differ(scenes: dict[str, list[Scene]]) -> None:
    heights: dict[str, list[float]] = {"small": [], "large": []}
    for caption in (caption for each in scenes.values() for scene in each for caption in scene.captions):
        for word, boxes in zip(caption.words, caption.boxes, strict=True):
            for box in boxes:
                assert 0 <= box.left < box.right <= SIZE
                assert 0 <= box.top < box.bottom <= SIZE
                if word in heights:
                    heights[word].append(box.bottom - box.top)
    assert max(heights["small"]) < min(heights["large"])


def test_scenes_are_the_same_on_every_machine() -> None:
    whole = hashlib.sha256()
    for scene in generate(20, 5, "valid"):
        whole.update("\n".join(caption.text for caption in scene.captions).encode())
        whole.update((scene.picture // 16).tobytes())  # the last bit of a sine may differ, not the picture
    first = generate(1, 5, "valid")[0]
    assert first.captions[0].text == generate(20, 5, "valid")[0].captions[0].text
    assert whole.hexdigest()[:12] == "2dd55060d5a0"
    assert not np.array_equal(generate(1, 6, "valid")[0].picture, first.picture)


def test_an_unknown_part_is_refused() -> None:
    with pytest.raises(UsageError, match="'dev'"):
        generate(1, 0, "dev")  # type: ignore[arg-type]


def test_a_written_folder_holds_tables_boxes_and_pictures(tmp_path: Path) -> None:
    scenes = generate(4, 2, "test")
    write_folder(tmp_path, {"test": scenes})
    header, *rows = (tmp_path / "test.tsv").read_text().splitlines()
    assert header == "image\tcaption"
    expected = [(f"test/{number:05}.png", c.text) for number, s in enumerate(scenes, 1) for c in s.captions]
    assert [tuple(row.split("\t")) for row in rows] == expected
    with (tmp_path / "test.boxes.jsonl").open() as lines:
        boxes = list(captions_with_boxes(lines))
    assert [caption for _, caption in boxes] == [caption for scene in scenes for caption in scene.captions]
    assert isinstance(boxes[0][1], Caption)
    assert np.array_equal(_from_png((tmp_path / "test/00003.png").read_bytes()), scenes[2].picture)


def _from_png(content: bytes) -> NDArray[np.uint8]:
    start = content.index(b"IDAT")
    length = int.from_bytes(content[start - 4 : start], "big")
    lines = np.frombuffer(zlib.decompress(content[start + 4 : start + 4 + length]), np.uint8)
    return lines.reshape(SIZE, 1 + 3 * SIZE)[:, 1:].reshape(SIZE, SIZE, 3)


@pytest.mark.parametrize("shape", SHAPES)
def test_shapes_have_smooth_edges_inside_their_box(shape: str) -> None:
    covered = coverage(shape, 40, 20.3, 19.6, 12.0)
    partial = (covered > 0.02) & (covered < 0.98)
    assert covered.max() == 1.0
    assert partial.sum() > 5
    box = box_of(covered)
    assert 20 <= box.bottom - box.top <= 26
    assert abs((box.top + box.bottom) / 2 - 19.6) < 1.5
