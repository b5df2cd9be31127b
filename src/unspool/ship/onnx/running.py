"""ONNX files that an export wrote, run by ONNX Runtime."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from unspool.data.units import clean
from unspool.errors import UsageError
from unspool.ship.judge_text import encode_texts
from unspool.ship.onnx.model import sheet_model
from unspool.ship.onnx.text import takes_text
from unspool.ship.sheet import Sheet
from unspool.ship.sheet_text import Labels
from unspool.ship.targets import Artefact, Options
from unspool.writing import replace_file

__all__ = ["OnnxArtefact", "export", "feeds_of", "session_of"]


def session_of(content: bytes | Path, threads: int = 1) -> Any:
    """Return a session of ONNX Runtime.

    Raises:
        UsageError: If ONNX Runtime is not installed.
    """
    try:
        import onnxruntime
    except ImportError:
        raise UsageError("running ONNX needs the package onnxruntime: pip install 'unspool[onnx]'") from None
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    source = str(content) if isinstance(content, Path) else content
    return onnxruntime.InferenceSession(source, options, providers=["CPUExecutionProvider"])


def feeds_of(sheet: Sheet, texts: Sequence[Any]) -> dict[str, Any]:
    """Return the inputs of an exported file for texts: the texts, or their ids where the file takes ids."""
    if takes_text(sheet.front):
        return {"text": np.array([clean(text) for text in texts], object)}
    inputs = encode_texts(sheet.front, texts)
    feeds = {"ids": inputs["ids"].T.copy(), "lengths": inputs["lengths"]}
    if "characters" in inputs:
        longest = max(len(word) for text in inputs["characters"] for word in text)
        characters = np.zeros((*feeds["ids"].shape, longest), np.int64)
        for row, text in enumerate(inputs["characters"]):
            for place, word in enumerate(text):
                characters[row, place, : len(word)] = word
        feeds["characters"] = characters
    if "bag" in inputs:
        assert sheet.front.ngrams is not None
        bag = np.zeros((len(texts), len(sheet.front.ngrams.entries)), np.float32)
        for row, (ids, weights) in zip(bag, inputs["bag"], strict=True):
            row[ids] = weights
        feeds["bag"] = bag
    return feeds


class OnnxArtefact(Artefact):
    """One ONNX file that answers."""

    def __init__(self, sheet: Sheet, path: Path) -> None:
        self.sheet, self.path, self.files = sheet, path, (path,)
        self._session: Any = None

    def run(self, texts: Sequence[Any]) -> list[Any]:
        """Run the file on texts, one at a time; see `Artefact.run`."""
        if self._session is None:
            self._session = session_of(self.path)
        return [self._answer(text) for text in texts]

    def _answer(self, text: Any) -> Any:
        feeds = feeds_of(self.sheet, [text])
        wanted = {port.name for port in self._session.get_inputs()}
        values = self._session.run(None, {name: feeds[name] for name in feeds if name in wanted})
        assert isinstance(self.sheet.back, Labels)
        return dict(zip(self.sheet.back.names, map(float, values[0][0]), strict=True))


def export(sheet: Sheet, path: Path, options: Options) -> OnnxArtefact:
    """Write the ONNX file of a sheet; see `Target`."""
    if options.small is not None:
        raise UsageError(f"--small {options.small} has no form in ONNX yet; leave it out, or choose --to c or html")
    model = sheet_model(sheet, options.title)
    replace_file(path, model.SerializeToString())
    return OnnxArtefact(sheet, path)
