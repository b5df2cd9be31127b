"""Files of generated scenes: pictures, tables of captions, and the boxes of their words."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from unspool.inspection.png import png_bytes
from unspool.samples.drawing import Box
from unspool.samples.scenes import Caption, Scene

__all__ = ["captions_with_boxes", "write_folder"]


def write_folder(folder: Path, parts: Mapping[str, Sequence[Scene]]) -> None:
    """Write scenes as PNG files with a table of captions for each part.

    `train.tsv` has the columns `image` and `caption`, with one row for each caption. `train.boxes.jsonl` has the same
    rows, with the boxes of each word in pixels.

    Args:
        folder: An existing folder.
        parts: Scenes by the name of their part.
    """
    for part, scenes in parts.items():
        (folder / part).mkdir()
        table, boxes = ["image\tcaption"], []
        for number, scene in enumerate(scenes, 1):
            name = f"{part}/{number:05}.png"
            (folder / name).write_bytes(png_bytes(scene.picture))
            for caption in scene.captions:
                table.append(f"{name}\t{caption.text}")
                boxes.append(json.dumps({"image": name, "words": caption.words, "boxes": caption.boxes}))
        for file, lines in ((f"{part}.tsv", table), (f"{part}.boxes.jsonl", boxes)):
            (folder / file).write_text("\n".join(lines) + "\n", encoding="utf-8", newline="\n")


def captions_with_boxes(lines: Iterable[str]) -> Iterator[tuple[str, Caption]]:
    """Yield the image and the caption of each line of a `.boxes.jsonl` file."""
    for line in lines:
        record = json.loads(line)
        boxes = tuple(tuple(Box(*box) for box in each) for each in record["boxes"])
        yield record["image"], Caption(tuple(record["words"]), boxes)
