"""What tests of trainings and model folders share."""

from __future__ import annotations

import random
from pathlib import Path

import pytest


@pytest.fixture
def reviews(tmp_path: Path) -> Path:
    """Sixty short reviews whose last word tells the label."""
    lot = random.Random(1)
    lines = ["text\tlabel"]
    for _ in range(60):
        good = lot.random() < 0.5
        words = [lot.choice(["film", "plot", "cast", "end"]) for _ in range(lot.randint(1, 6))]
        lines.append(f"{' '.join(words)} {'joy' if good else 'bore'}\t{'pos' if good else 'neg'}")
    path = tmp_path / "reviews.tsv"
    path.write_text("\n".join(lines) + "\n")
    return path
