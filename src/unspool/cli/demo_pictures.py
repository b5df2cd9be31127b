"""`unspool demo pictures`: train a captioner on generated scenes, score what it names and where it looked."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from unspool.cli.demo_folder import demo_folder
from unspool.cli.talk import console, reporter, result, table

if TYPE_CHECKING:
    from unspool.samples.scenes import Scene
    from unspool.tasks import Caption, Captioner

__all__ = ["show_pictures"]

_SETTINGS: dict[str, Any] = {
    "network": "bilinear",
    "start": "learned",
    "hidden": 128,
    "embedding": 64,
    "stem": "4",
    "widths": "64",
    "dropout": 0.0,
    "epochs": 4,
    "batch_size": 32,
    "learning_rate": 4e-3,
    "schedule": "cosine",
    "warmup": 50,
    "patience": None,
    "choose_by": "exact",
    "search": "beam",
    "beam": 3,
    "device": "cpu",
    "threads": 1,
    "seed": 1,
    "plan": False,
}
_TRAIN, _VALID, _TEST, _NOVEL = 12_000, 300, 600, 300
_SHOWN = 3  # pictures of the test that are shown

_INTRODUCTION = """\
A captioner trains on {train:,} generated pictures of 48 x 48 pixels with their captions:
    {caption}
A convolutional encoder makes a grid of cells of it, and an LSTM attends to the cells;
both start from random weights. The LSTM sees the picture through its attention alone,
and nothing tells it where an object is. The test has {test:,} pictures of two objects;
no such pair of colours and shapes is in training.
"""


def show_pictures(out: Path | None, **settings: Any) -> None:
    """Train a captioner on generated scenes, score its captions and its attention, and show where it looked.

    Args:
        out: New folder for the pictures and the model; None: a temporary folder.
        settings: Settings of the captioner in place of the demo's.
    """
    from unspool.samples.scene_files import write_folder
    from unspool.samples.scenes import generate
    from unspool.tasks import Captioner

    with demo_folder(out) as folder:
        train, valid, test = generate(_TRAIN, 1), generate(_VALID, 1, "valid"), generate(_TEST, 1, "test")
        caption = next(scene.captions[0].text for scene in train if len(scene.captions) > 1)
        result(_INTRODUCTION.format(train=_TRAIN, test=_TEST, caption=caption))
        if out is not None:
            write_folder(folder, {"valid": valid, "test": test})
        captioner = Captioner(**{**_SETTINGS, **settings})
        captioner.fit(_rows(train), valid=_rows(valid), out=folder / "captioner", reporter=reporter())
        captions = captioner.predict([scene.picture for scene in test])
        _show_scores(captioner, train, test, captions)
        _show_novel(captioner, generate(_NOVEL, 1, "novel"))
        _show_looks(captioner, test, captions)
    _show_way_on(out)


def _rows(scenes: Sequence[Scene]) -> list[tuple[Any, list[str]]]:
    return [(scene.picture, [caption.text for caption in scene.captions]) for scene in scenes]


def _show_scores(
    captioner: Captioner, train: Sequence[Scene], test: Sequence[Scene], captions: Sequence[Caption]
) -> None:
    """Show the shares of exact captions, and of the attention inside the box of the object that a word names."""
    from unspool.tasks.caption.baselines import best_constant

    cells = captioner.fitted.input.boxes() * test[0].picture.shape[0]
    looks = [_looks(scene, caption, cells) for scene, caption in zip(test, captions, strict=True)]
    right = [each for each in looks if each is not None]
    constant = best_constant([[caption.text for caption in scene.captions] for scene in train], "exact")
    lucky = sum(constant in [caption.text for caption in scene.captions] for scene in test)
    rows = [
        ["captions that are right word by word", _percent(len(right) / len(test))],
        ["the same, one constant caption", _percent(lucky / len(test))],
    ]
    for kind in ("shape", "colour", "size"):
        shares = [share for each in right for share in each[kind]]
        if shares:
            rows.append([f"attention inside the object's box, words of {kind}", _percent(sum(shares) / len(shares))])
    shares = [share for each in right for kind in each.values() for share in kind]
    if shares:
        rows.append(["the same, all of these words", _percent(sum(shares) / len(shares))])
        margin = float(cells[0, 2] - cells[0, 0])
        near = [_looks(scene, caption, cells, margin) for scene, caption in zip(test, captions, strict=True)]
        shares = [share for each in near if each is not None for kind in each.values() for share in kind]
        rows.append(["the same, in the box or one cell beside it", _percent(sum(shares) / len(shares))])
    rows.append(["area of such a box in the picture", _percent(_mean_area(test))])
    result(f"\nOn the {len(test):,} test pictures:\n")
    result(table(["", ""], rows).lstrip("\n"))


def _show_novel(captioner: Captioner, scenes: Sequence[Scene]) -> None:
    """Show the share of exact captions of pictures with a thing that training never showed."""
    captions = captioner.predict([scene.picture for scene in scenes])
    right = sum(
        caption.caption in [each.text for each in scene.captions]
        for scene, caption in zip(scenes, captions, strict=True)
    )
    result(
        f"\nOn {len(scenes):,} pictures with a thing that is not in training, such as a large red seven, captions are"
        f"\nright in {_percent(right / len(scenes))}: its size, colour and shape occur there, but not together."
    )


def _looks(scene: Scene, caption: Caption, cells: Any, margin: float = 0.0) -> dict[str, list[float]] | None:
    """Return the attention inside the box of the object that each word names, by kind of word; None for wrong captions.

    Args:
        scene: The picture with its true captions.
        caption: The caption of the network.
        cells: Box of each cell of the grid, in pixels, (cells, 4).
        margin: Pixels by which boxes of objects grow on each side.
    """
    from unspool.samples.drawing import SHAPES
    from unspool.samples.scenes import COLOURS
    from unspool.tasks.caption.attended import mass_inside

    true = next((each for each in scene.captions if each.text == caption.caption), None)
    if true is None or caption.attention is None:
        return None
    looks: dict[str, list[float]] = {"shape": [], "colour": [], "size": []}
    for word, boxes, weights in zip(true.words, true.boxes, caption.attention, strict=False):  # without the end
        if boxes:
            kind = "shape" if word in SHAPES else "colour" if word in COLOURS else "size"
            grown = [(box.left - margin, box.top - margin, box.right + margin, box.bottom + margin) for box in boxes]
            looks[kind].append(mass_inside(weights, cells, grown))
    return looks


def _mean_area(scenes: Sequence[Scene]) -> float:
    """Return the share of a picture that a word's box covers, as a mean: what uniform attention would have inside."""
    boxes = [box for scene in scenes for caption in scene.captions for each in caption.boxes for box in each]
    areas = [(box.right - box.left) * (box.bottom - box.top) for box in boxes]
    height, width = scenes[0].picture.shape[:2]
    return float(sum(areas) / len(areas) / (height * width))


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"


def _show_looks(captioner: Captioner, test: Sequence[Scene], captions: Sequence[Caption]) -> None:
    from unspool.inspection.image_words import ImageWords

    for place in range(_SHOWN):
        result(f"\n{captions[place].caption}\n")
        console().print(ImageWords(captioner.trace(test[place].picture), "attention"))


def _show_way_on(out: Path | None) -> None:
    lines = ["\nNext, train on your own pictures, a table of paths and captions:\n"]
    lines += ["    unspool train caption my-pictures.tsv --out my-captioner"]
    if out is not None:
        model, picture = (shlex.quote(str(out / each)) for each in ("captioner", "test/00001.png"))
        lines += [
            "\nOr look inside the captioner of the demo:\n",
            f"    unspool inspect {model} {picture} --out looked.html",
        ]
        lines += [f"    unspool evaluate {model} {shlex.quote(str(out / 'test.tsv'))}"]
    result("\n".join(lines))
