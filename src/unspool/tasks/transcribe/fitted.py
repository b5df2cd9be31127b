"""Fitted state of a transcriber: sounds, characters, language model and grammar."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from unspool.data import END, UNKNOWN, Sequences, Vocabulary
from unspool.inputs.audio.fitted import FittedAudio
from unspool.tasks.contracts import Fitted
from unspool.tasks.transcribe.data import SpokenExamples
from unspool.tasks.transcribe.encoded import EncodedSpeech
from unspool.tasks.transcribe.hearing import Knowledge
from unspool.tasks.transcribe.settings import TranscriberSettings

__all__ = ["BLANK", "GAP", "FittedTranscriber"]

BLANK = 0
GAP = END - BLANK
"""Ids of the vocabulary without a unit of a CTC network: the unknown unit and the end."""


@dataclass
class FittedTranscriber(Fitted):
    """Fitted sounds and characters, and what the search for a transcript knows besides.

    The units of the network are the blank, 0, and the characters of the vocabulary in its order, from 1.
    """

    input: FittedAudio
    vocabulary: Vocabulary
    knowledge: Knowledge
    attends: bool = False
    """Whether a decoder with attention writes the transcripts, in ids of the vocabulary."""

    @classmethod
    def learn(cls, examples: SpokenExamples, settings: TranscriberSettings) -> Self:
        """Learn features and characters, and read language model and grammar; see `Fitted.learn`."""
        vocabulary = Vocabulary.learn(examples.transcripts, units="character", lowercase=settings.transcripts.lowercase)
        fitted = FittedAudio.learn(examples.sounds, ("audio",), settings)
        attends = settings.network.decoder == "attention"
        learned = cls(fitted, vocabulary, Knowledge.read(settings.hearing), attends)
        learned.knowledge.spelled(learned.unit_ids)
        if not attends:
            learned.encode(examples).refuse_short_sounds(examples.where)
        return learned

    @property
    def texts(self) -> list[str]:
        """Text of each unit; empty for the blank."""
        return ["", *(self.vocabulary.unit(id) for id in range(END + 1, len(self.vocabulary)))]

    @property
    def unit_ids(self) -> dict[str, int]:
        """Unit of each character."""
        return {text: unit for unit, text in enumerate(self.texts) if text}

    def encode(self, examples: SpokenExamples) -> EncodedSpeech:
        """Encode sounds and transcripts; characters that training lacks are left out.

        Raises:
            DataError: If a sound can't be read by this model.
        """
        sounds = self.input.encode(examples.sounds, examples.where)
        ids = (self.vocabulary.encode(text) for text in examples.transcripts)
        gap = 0 if self.attends else GAP
        units = [[id - gap for id in row if id not in (UNKNOWN, END)] for row in ids]
        return EncodedSpeech(sounds, Sequences.of(units), for_decoder=self.attends)

    def text(self, units: Sequence[int]) -> str:
        """Return the transcript of some units, with one blank between words."""
        texts = self.texts
        return " ".join("".join(texts[unit] for unit in units).split())

    def normal(self, text: str) -> str:
        """Return a transcript as the model would write it: in lower case if it knows no other."""
        return text.lower() if self.vocabulary.lowercase else text

    def refuse_files(self) -> None:
        """See `Fitted.refuse_files`."""
        self.input.refuse_files()

    def score_notes(self, examples: SpokenExamples) -> list[str]:
        """Return a note on characters that the training data lacked."""
        strange = Counter(
            character for text in examples.transcripts for character in self.normal(text) if self._lacks(character)
        )
        if not strange:
            return []
        shown = ", ".join(repr(character) for character, _ in strange.most_common(10))
        return [f"the training data lacked {shown} of these transcripts: each counts as an error"]

    def _lacks(self, character: str) -> bool:
        return self.vocabulary.id(character) is None

    def save(self, folder: Path) -> None:
        """See `Fitted.save`."""
        self.input.save(folder)
        self.vocabulary.save(folder)
        self.knowledge.save(folder)

    @classmethod
    def load(cls, folder: Path, settings: Any) -> Self:
        """See `Fitted.load`."""
        return cls(
            FittedAudio.load(folder, settings),
            Vocabulary.load(folder),
            Knowledge.load(folder, settings.hearing),
            settings.network.decoder == "attention",
        )
