"""Settings and command-line help of the task `transcribe`: network, sounds, transcripts, search and training."""

from __future__ import annotations

from functools import partial
from typing import ClassVar, Literal

from unspool.data.forms import forms_of
from unspool.data.sound_names import SOUND_NAMES
from unspool.decoding.ctc.settings import HearingSettings
from unspool.decoding.settings import DecodingSettings
from unspool.errors import SettingError
from unspool.inputs.audio.settings import AudioSettings, ConvolutionSettings
from unspool.inputs.network_settings import StackSettings
from unspool.settings import PositiveInt, Settings
from unspool.tasks.entry import TaskEntry
from unspool.tasks.parts.data_settings import TableSettings
from unspool.training.settings import TrainingSettings

__all__ = ["ENTRY", "SpeechSettings", "TranscriberNetwork", "TranscriberSettings", "TranscriptSettings"]

TRANSCRIPT_NAMES = ("transcript", "transcription", "text", "sentence", "target", "label")
"""Usual names of the column of transcripts."""


class TranscriberNetwork(StackSettings):
    """A network that reads a sound and writes its transcript."""

    network: Literal["convolutional", "recurrent"] = "convolutional"
    """Architecture: convolutional (convolutions over time, then the cell), or recurrent (the cell over the frames)."""
    bidirectional: bool = True
    """Whether the recurrent layers are bidirectional."""
    decoder: Literal["ctc", "attention"] = "ctc"
    """How transcripts are written: ctc (a character, or none, at each step of the sound; Graves et al. 2006), or
    attention (a decoder writes character by character, and looks at the sound; Chan et al. 2015, arXiv:1508.01211)."""
    attention: Literal["additive", "bilinear", "dot"] = "additive"
    """Kind of attention (decoder attention)."""
    embedding: PositiveInt = 32
    """Width of the characters that the decoder reads (decoder attention)."""


class TranscriptSettings(Settings):
    """Characters of the transcripts."""

    lowercase: bool = False
    """Whether transcripts are converted to lower case."""


class SpeechSettings(TableSettings):
    """How sounds and transcripts are read."""

    lists: ClassVar = {"forms": partial(forms_of, "rows")}

    format: str | None = None
    """File format ({forms}). None: by file name; a folder without tables: sounds, each with a .txt beside it."""
    audio_column: str | None = None
    """Column of the paths of sounds: a name, or a number from 1. None: audio, path, file, or the first."""
    transcript_column: str | None = None
    """Column of the transcripts: a name, or a number from 1. None: transcript, text, sentence, or the second."""


class TranscriberSettings(Settings):
    """Settings of a transcriber."""

    network: TranscriberNetwork = TranscriberNetwork(cell="gru", hidden=128, dropout=0.2)
    audio: AudioSettings = AudioSettings(
        time_masks=2,
        band_masks=2,
        convolutions=ConvolutionSettings(dilations="1,1,2", strides="2,2,1"),
    )
    transcripts: TranscriptSettings = TranscriptSettings()
    data: SpeechSettings = SpeechSettings()
    training: TrainingSettings = TrainingSettings(
        epochs=60, batch_tokens=1500, batch_size=16, learning_rate=2e-3, schedule="cosine", warmup=100, clip=5.0
    )
    decoding: DecodingSettings = DecodingSettings(beam=16)
    hearing: HearingSettings = HearingSettings()
    choose_by: Literal["cer", "wer", "nats"] = "cer"
    """Validation score that selects the best weights: character error rate or word error rate of greedy transcripts,
    or the loss per character."""

    def check(self) -> None:
        """Refuse settings of decoding that a search for transcripts ignores."""
        if self.network.decoder == "attention":
            if self.decoding.search == "sample":
                raise SettingError("search = sample does not suit transcripts; choose greedy or beam")
            if self.hearing.lm or self.hearing.grammar:
                raise SettingError("lm and grammar need decoder = ctc, and decoder is attention; leave them out")
            return
        standard = DecodingSettings(search=self.decoding.search, beam=self.decoding.beam, best=self.decoding.best)
        if self.decoding.search == "sample" or self.decoding != standard:
            raise SettingError("transcripts are searched with search = greedy or beam, beam and best; leave others out")
        if self.decoding.search == "greedy" and (self.hearing.lm or self.hearing.grammar):
            raise SettingError("search = greedy ignores lm and grammar; choose search = beam")


ENTRY = TaskEntry(
    name="transcribe",
    order=45,
    module="transcriber",
    task="Transcriber",
    answer="Transcription",
    settings=TranscriberSettings,
    a_model="a transcriber",
    summary="Speech recognition: learns from recordings with their transcripts.",
    data_forms="tables (tsv, csv, jsonl, parquet) of paths and transcripts, or a folder of sounds with .txt files",
    sides=("transcript",),
    columns=(SOUND_NAMES, TRANSCRIPT_NAMES[:2]),
    train_example="unspool train transcribe train.tsv --valid dev.tsv --test test.tsv --out my-transcriber",
    compare_example="unspool compare transcribe train.tsv --networks elman,lstm,gru --minutes 5",
    predict_verb="transcribe",
    predict_writes="the transcript",
    networks={"recurrent": {"network.network": "recurrent"}, "attention": {"network.decoder": "attention"}},
    networks_help="recurrent, or attention for a decoder with attention in place of CTC",
    with_cell={"network.network": "convolutional"},
    hears=True,
)
