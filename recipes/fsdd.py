"""Write the tables of the Free Spoken Digit Dataset: the official split, and a split for each speaker left out.

    python recipes/fsdd.py $DATA/fsdd/recordings fsdd

`fsdd/train.tsv` and `fsdd/test.tsv` are the official split: recordings with index 0 to 4 are test data. The recordings
5 to 7 are validation data in `fsdd/valid.tsv`, and are left out of `fsdd/part.tsv`. `fsdd/unseen/SPEAKER/train.tsv` has
the other five speakers, and `test.tsv` the speaker.
"""

from __future__ import annotations

import sys
from pathlib import Path

LAST_TEST, LAST_VALID = 4, 7


def main(recordings: str, out: str) -> None:
    """Write all tables, with absolute paths."""
    rows = []
    for path in sorted(Path(recordings).resolve().glob("*.wav")):
        digit, speaker, index = path.stem.split("_")
        rows.append((speaker, int(index), f"{path}\t{digit}\n"))
    folder = Path(out)
    _write(folder / "train.tsv", [row for _, index, row in rows if index > LAST_TEST])
    _write(folder / "part.tsv", [row for _, index, row in rows if index > LAST_VALID])
    _write(folder / "valid.tsv", [row for _, index, row in rows if LAST_TEST < index <= LAST_VALID])
    _write(folder / "test.tsv", [row for _, index, row in rows if index <= LAST_TEST])
    for name in sorted({speaker for speaker, _, _ in rows}):
        _write(folder / "unseen" / name / "train.tsv", [row for speaker, _, row in rows if speaker != name])
        _write(folder / "unseen" / name / "test.tsv", [row for speaker, _, row in rows if speaker == name])


def _write(path: Path, rows: list[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("path\tlabel\n" + "".join(rows), encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
