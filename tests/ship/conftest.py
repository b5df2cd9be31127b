"""What tests of exports share: the cells that the tests of the engine are made of."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[1] / "engine"))
