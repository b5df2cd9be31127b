"""ONNX files that an export wrote, run by ONNX Runtime."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from unspool.data.units import clean
from unspool.errors import MissingExtraError, UsageError, option
from unspool.ship.answers import EXPORTED_UNITS
from unspool.ship.judge_text import encode_texts, join_units, split_units
from unspool.ship.judge_writing import limit_of
from unspool.ship.onnx.model import sheet_model
from unspool.ship.onnx.text import takes_text
from unspool.ship.onnx.writing import start_model, step_model, write_model
from unspool.ship.sheet import Sheet, Writer
from unspool.ship.sheet_text import Labels, Replies, Writing
from unspool.ship.targets import Artefact, Options
from unspool.writing import replace_file

__all__ = ["OnnxArtefact", "export", "feeds_of", "session_of"]


def session_of(content: bytes | Path, threads: int = 1) -> Any:
    """Return a session of ONNX Runtime.

    Raises:
        MissingExtraError: If ONNX Runtime is not installed.
    """
    try:
        import onnxruntime
    except ImportError:
        raise MissingExtraError("running ONNX", "onnxruntime", "onnx") from None
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.log_severity_level = 3
    source = str(content) if isinstance(content, Path) else content
    return onnxruntime.InferenceSession(source, options, providers=["CPUExecutionProvider"])


def feeds_of(sheet: Sheet, texts: Sequence[Any]) -> dict[str, Any]:
    """Return the inputs of an exported file for texts: the texts, or their ids where the file takes ids."""
    if takes_text(sheet.front) and sheet.front.words:
        words = [text if isinstance(text, list) else split_units(sheet.front.units, text).written for text in texts]
        table = np.full((len(words), max(map(len, words))), "", object)
        for row, each in zip(table, words, strict=True):
            row[: len(each)] = [clean(word) for word in each]
        return {"words": table}
    if takes_text(sheet.front):
        return {"text": np.array([clean(text) for text in texts], object)}
    inputs = encode_texts(sheet.front, texts)
    feeds = {"ids": inputs["ids"].T.copy(), "lengths": inputs["lengths"]}
    if "characters" in inputs:
        longest = max(len(word) for text in inputs["characters"] for word in text)
        characters = np.zeros((*feeds["ids"].shape, longest), np.int64)
        for number, text in enumerate(inputs["characters"]):
            for place, word in enumerate(text):
                characters[number, place, : len(word)] = word
        feeds["characters"] = characters
    if "bag" in inputs:
        assert sheet.front.ngrams is not None
        bag = np.zeros((len(texts), len(sheet.front.ngrams.entries)), np.float32)
        for row, (ids, weights) in zip(bag, inputs["bag"], strict=True):
            row[ids] = weights
        feeds["bag"] = bag
    return feeds


class OnnxArtefact(Artefact):
    """ONNX files that answer.

    Args:
        sheet: The model.
        paths: The files; for a writer the last one writes whole texts.
    """

    def __init__(self, sheet: Sheet, paths: Sequence[Path]) -> None:
        self.sheet, self.files = sheet, tuple(paths)
        self._session: Any = None

    def run(self, texts: Sequence[Any]) -> list[Any]:
        """Run the files on texts, one at a time; see `Artefact.run`."""
        if self._session is None:
            self._session = session_of(self.files[-1])
        return [self._answer(text) for text in texts]

    def _answer(self, text: Any) -> Any:
        if self.sheet.writer is not None:
            return self._written(text, self.sheet.writer)
        values = self.call(feeds_of(self.sheet, [text]))
        if isinstance(self.sheet.back, Labels):
            return dict(zip(self.sheet.back.names, map(float, values[0][0]), strict=True))
        return str(values[0][0]) if isinstance(self.sheet.back, Replies) else values[0][0].tolist()

    def _written(self, text: Any, writer: Writer) -> str:
        feeds = feeds_of(self.sheet, [text])
        if not writer.start.inputs and "ids" in feeds:
            feeds["ids"] = feeds["ids"][0]
        limit = limit_of(writer, len(split_units(self.sheet.front.units, text).ids), EXPORTED_UNITS)
        feeds |= {"temperature": np.array(0, np.float32), "uniform": np.zeros(limit, np.float32)}
        units = self.call(feeds)[0]
        assert isinstance(self.sheet.back, Writing)
        return join_units(self.sheet.back, units)

    def call(self, feeds: dict[str, Any]) -> list[Any]:
        """Return the outputs for some inputs; inputs that the file does not take are left out."""
        wanted = {port.name for port in self._session.get_inputs()}
        outputs: list[Any] = self._session.run(None, {name: feeds[name] for name in feeds if name in wanted})
        return outputs


def export(sheet: Sheet, path: Path, options: Options) -> OnnxArtefact:
    """Write the ONNX file of a sheet; of a writer, a folder of three; see `Target`."""
    if options.small is not None:
        raise UsageError(
            f"{option('small', options.small)} has no form in ONNX yet; leave it out, or choose {option('to', 'c')}"
        )
    if sheet.writer is None:
        models = {path: sheet_model(sheet, options.title)}
    else:
        parts = {"start": start_model, "step": step_model, "write": write_model}
        models = {path / f"{name}.onnx": make(sheet, options.title) for name, make in parts.items()}
    for file, model in models.items():
        replace_file(file, model.SerializeToString())
    return OnnxArtefact(sheet, list(models))
