#!/usr/bin/env python3
"""Draw where the heads of a trained Turing machine look while it copies: `draw_heads.py MODEL OUT.svg`.

A machine that copies repeatedly takes `--repeats`.
"""

from __future__ import annotations

import argparse
import random
from pathlib import Path

import numpy as np

from unspool import Algorithm

CELL, LEFT, GAP = 13, 110, 34  # sides of a square, room for the names, room above a panel, pixels
EMPTY, FULL = np.array([245, 245, 245]), np.array([20, 60, 130])


def panel(name: str, values: np.ndarray, y: float) -> list[str]:
    """A name and a square for each value between 0 and 1, rows downwards."""
    body = [
        f'<text x="{LEFT - 12}" y="{y + len(values) * CELL / 2 + 5:g}" text-anchor="end" font-size="14">{name}</text>'
    ]
    body.append(
        f'<rect x="{LEFT}" y="{y}" width="{values.shape[1] * CELL}" height="{len(values) * CELL}" fill="#f5f5f5"/>'
    )
    for row, column in np.argwhere(values > 0.03):
        shade = "#{:02x}{:02x}{:02x}".format(*(EMPTY + (FULL - EMPTY) * min(1.0, values[row, column])).astype(int))
        body.append(f'<rect x="{LEFT + column * CELL}" y="{y + row * CELL}" width="12" height="12" fill="{shade}"/>')
    return body


def main() -> None:
    """Trace one exercise and write the picture."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--length", type=int, default=20, help="vectors to copy")
    parser.add_argument("--repeats", type=int, help="how often, of a machine that copies repeatedly")
    chosen = parser.parse_args()
    chance = random.Random(3)
    model = Algorithm.load(chosen.model)
    text = " ".join("".join(chance.choice("01") for _ in range(8)) for _ in range(chosen.length))
    if chosen.repeats is not None:
        text = f"{chosen.repeats}x {text}"
    trace = model.trace(text)
    heads = {name.split(" / ")[1].removesuffix(" 1"): shown.values.T for name, shown in trace.maps.items()}
    steps = next(iter(heads.values())).shape[1]
    assert model.kind is not None
    inputs = model.kind.read(text).inputs[:, 0].numpy().T
    # the slots lie in a ring: they are turned so that the first that is written stands at an edge, the rest in order
    written, answered = heads["write head"], chosen.length + 1
    used = written[:, :answered].argmax(0)
    falling = np.median(np.diff(used)) < 0
    order = (used[0] + (2 - np.arange(chosen.length + 8) if falling else np.arange(chosen.length + 8) - 2)) % len(
        written
    )
    answer = trace.arrays["output / answer"].T.copy()
    answer[:, :answered] = 0  # what it says before it is asked counts for nothing
    body, y = [], 10.0
    for name, values in [("read", inputs), ("write head", written[order]), ("read head", heads["read head"][order])]:
        body += panel(name, values, y)
        y += len(values) * CELL + GAP / 2
    body += panel("answered", answer, y)
    y += len(answer) * CELL + 24
    body.append(
        f'<text x="{LEFT}" y="{y:g}" font-size="13">steps, from left to right; of the heads, a row for each slot</text>'
    )
    size = f"{LEFT + steps * CELL + 12} {y + 10:g}"
    start = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {size}" role="img" font-family="sans-serif">'
    ground = '<title>Heads of a Turing machine that copies</title><rect width="100%" height="100%" fill="#fff"/>'
    chosen.out.write_text("\n".join([start + ground, *body, "</svg>\n"]), encoding="utf-8")


if __name__ == "__main__":
    main()
