"""The settings of every task; the field docstrings are the `--help`. Imports nothing heavy."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

import msgspec

from unspool.cells.names import cell_names
from unspool.data.tables import delimiter_character
from unspool.decoding.settings import DecodingSettings
from unspool.errors import DataError, SettingError, option
from unspool.settings import Dropout, Fraction, NonNegative, NonNegativeInt, PositiveInt, Settings
from unspool.training.settings import TrainingSettings

__all__ = [
    "AlgorithmSettings",
    "AssistantSettings",
    "ClassifierNetwork",
    "ClassifierSettings",
    "ColumnSettings",
    "DataSettings",
    "EncoderSettings",
    "ExerciseSettings",
    "LanguageModelSettings",
    "LanguageNetwork",
    "MemorySettings",
    "NetworkSettings",
    "PairSettings",
    "PairVocabularySettings",
    "QuestionSettings",
    "ReaderNetwork",
    "ReaderSettings",
    "ReadingSettings",
    "SplitSettings",
    "StackSettings",
    "StorySettings",
    "TableSettings",
    "TaggerNetwork",
    "TaggerSettings",
    "TranslatorNetwork",
    "TranslatorSettings",
    "VocabularySettings",
]


_Chance = Annotated[float, msgspec.Meta(ge=0, le=1)]


class VocabularySettings(Settings):
    """What the text is cut into."""

    units: Literal["word", "blank", "character", "bpe", "unigram"] = "word"
    """Units of text: word (letters apart from punctuation), blank (split at white space only), character, or subwords
    learned from the data (bpe, unigram)."""
    lowercase: bool = False
    """Whether words are looked up in lower case."""
    digits_to_zero: bool = False
    """Whether every digit is looked up as 0, so that unseen numbers look like seen ones."""
    min_count: PositiveInt = 1
    """Rarer units count as unknown."""
    size: PositiveInt | None = None
    """Most units to keep (subwords: how many to learn, 8,000 if not said). None: all."""


class PairVocabularySettings(VocabularySettings):
    """What both sides are cut into."""

    units: Literal["word", "blank", "character", "bpe", "unigram"] = "bpe"
    """Units of text: word (letters apart from punctuation), blank (split at white space only), character, or subwords
    learned from the data (bpe, unigram)."""
    joint: bool = True
    """Whether source and target have one vocabulary, and one table of vectors, in common."""


class SplitSettings(Settings):
    """What is held out of the files."""

    valid_fraction: Fraction = 0.1
    """Share of the training data (of what a test leaves) held out for validation where no file for it is given; 0 keeps
    everything for training, and the last weights."""
    test_fraction: Fraction = 0.0
    """Share of the training data held out for a test at the very end where no test file is given."""


class ReadingSettings(SplitSettings):
    """How files with one example a line, or a block of lines, are read."""

    format: str | None = None
    """Form of the files (tsv, csv, jsonl, parquet, conll, conllu); None: by file name."""
    skip_bad: bool = False
    """Leave out lines that can't be read, and count them, instead of stopping at the first."""


class TableSettings(ReadingSettings):
    """How tables are read."""

    header: Literal["auto", "yes", "no"] = "auto"
    """Whether tables of text begin with a line of column names; auto: if a wanted column is named there, or the line
    differs in kind from those below it."""
    delimiter: str | None = None
    """What parts the cells of tables of text: one character, or tab. None: by file name and content."""

    def check(self) -> None:
        """Refuse a delimiter that is none."""
        if self.delimiter is not None:
            try:
                delimiter_character(self.delimiter)
            except DataError as error:
                raise SettingError(error.message) from None


class DataSettings(TableSettings):
    """How rows are read."""

    text: str | None = None
    """Column that holds the text: a name, or a number from 1. None: found by itself."""
    label: str | None = None
    """Column that holds the label or the list of labels: a name, or a number from 1. None: found by itself."""
    separator: str = ","
    """What stands between several labels in one field."""


class ColumnSettings(ReadingSettings):
    """How columns of words and tags are read."""

    words: str | None = None
    """Column that holds the words: a name, or a number from 1. None: form in CoNLL-U, tokens in JSONL, else 1."""
    tags: str | None = None
    """Column that holds the tags: a name, or a number from 1. None: upos in CoNLL-U, tags in JSONL, else the last."""


class PairSettings(TableSettings):
    """How pairs are read."""

    format: str | None = None
    """Form of the files (tsv, csv, jsonl, parquet, or parallel: two files, line by line); None: by file name."""
    source: str | None = None
    """Column that holds the source: a name, or a number from 1. None: source, src, question, input, or the first."""
    target: str | None = None
    """Column that holds the target: a name, or a number from 1. None: target, tgt, answer, output, or the second."""


class QuestionSettings(TableSettings):
    """How questions and answers are read."""

    format: str | None = None
    """Form of the files (tsv, csv, jsonl, parquet, yaml); None: by file name."""
    question: str | None = None
    """Column that holds the question: a name, or a number from 1. None: question, query, input, or the first."""
    answer: str | None = None
    """Column that holds the answer: a name, or a number from 1. None: answer, answers, response, or the second."""


class StackSettings(Settings):
    """What a recurrent stack is made of."""

    lists: ClassVar = {"cells": cell_names}

    cell: str = "lstm"
    """Cell: {cells}, or your own as my_file.py:MyCell or module:MyCell. Options of the cell,
    arguments of its __init__, follow in brackets: "ntm(slots=32, width=8)",
    "my_cell.py:MyCell(rate=0.9, gate=false)"."""
    hidden: PositiveInt = 128
    """Units of each layer and direction."""
    layers: PositiveInt = 1
    """Layers, one on the other."""
    residual: bool = False
    """Whether a layer's input is added to its output where both are equally wide."""
    dropout: Dropout = 0.3
    """Share of features dropped before, between and after the layers, in training."""
    variational: bool = False
    """Whether dropout keeps one mask for all steps of a sequence."""
    weight_dropout: Dropout = 0.0
    """Share of recurrent weights dropped, one mask per batch."""
    initialization: Literal["default", "orthogonal", "identity", "small"] = "default"
    """How recurrent weights start: default (uniform, as in torch.nn), orthogonal, identity, or small (±0.05)."""
    forget_bias: float | None = None
    """Start of the forget gate's bias, for cells that have one; 1 helps to remember. None: as initialization has it."""
    backend: str = "auto"
    """Engine path: auto takes the fastest that is right; reference, native and scan demand that path."""

    def check(self) -> None:
        """Keep a stranger's record from building a network without end."""
        if self.layers > 64 or self.hidden > 65_536:
            raise SettingError(
                f"{self.layers} layers of {self.hidden} units: expected at most 64 layers and a width of at most 65536"
            )


class NetworkSettings(StackSettings):
    """What the network is made of."""

    embedding: PositiveInt = 100
    """Width of a unit's vector."""
    heads: PositiveInt = 4
    """Heads of each attention (transformer)."""
    feedforward: PositiveInt = 1024
    """Width of the inner layer of each block (transformer)."""
    norm: Literal["pre", "post"] = "pre"
    """Where layers are normalised: before each block, or after it as in Vaswani et al. 2017 (transformer)."""
    positions: Literal["sinusoidal", "learned"] = "sinusoidal"
    """How places are told apart (transformer); learned ones end at 1,024 units."""
    attention_dropout: Dropout = 0.0
    """Share of attention weights dropped (transformer); slower than dropout elsewhere."""

    def check(self) -> None:
        """Keep a stranger's record from building a network without end."""
        super().check()
        if self.embedding > 65_536:
            raise SettingError(f"embedding = {self.embedding}: expected at most 65536")
        if getattr(self, "network", "") == "transformer" and self.hidden % self.heads:
            raise SettingError(f"hidden = {self.hidden} can't be divided among heads = {self.heads}")


class EncoderSettings(NetworkSettings):
    """A network that reads whole sequences."""

    bidirectional: bool = True
    """Whether the layers also read from the end."""
    word_dropout: NonNegative = 0.0
    """Replace words by the unknown word in training; one seen n times with chance word_dropout / (word_dropout + n)."""
    characters: Literal["none", "convolution", "recurrent"] = "none"
    """Whether a word's vector is also composed of its characters, and by what."""
    character_embedding: PositiveInt = 32
    """Width of a character's vector."""
    character_hidden: PositiveInt = 100
    """Width of the vector composed of characters; even if recurrent."""
    character_dropout: Dropout = 0.0
    """Share of character features dropped, one mask for each word."""

    def check(self) -> None:
        """Refuse a recurrent composition of odd width: half of it is read from each side."""
        super().check()
        if self.characters == "recurrent" and self.character_hidden % 2:
            raise SettingError(
                f"character_hidden = {self.character_hidden}: expected an even number, half for each side"
            )


class ClassifierNetwork(EncoderSettings):
    """A network that reads a text and decides once."""

    network: Literal["recurrent", "transformer", "bag"] = "recurrent"
    """recurrent runs the cell over the text; transformer lets every word look at every other; bag averages the vectors
    of its words, whatever their order."""
    pooling: Literal["last", "mean", "max", "attention"] = "max"
    """What of the recurrent states decides: the last, their mean, their maximum, or a mean weighted by attention."""


class TaggerNetwork(EncoderSettings):
    """A network that decides at every word."""

    network: Literal["recurrent", "transformer"] = "recurrent"
    """recurrent runs the cell over the words; transformer lets every word look at every other."""
    characters: Literal["none", "convolution", "recurrent"] = "convolution"
    """Whether a word's vector is also composed of its characters, and by what."""
    output: Literal["auto", "softmax", "crf"] = "auto"
    """What decides: softmax (each word for itself), crf (all words together), auto (crf where tags are spans)."""


class LanguageNetwork(NetworkSettings):
    """A network that predicts the next unit."""

    network: Literal["recurrent", "transformer"] = "recurrent"
    """recurrent runs the cell over the text, its state carried on; transformer lets every unit look at those before it,
    as many as `steps`."""
    tied: bool = True
    """Whether the output layer shares its weights with the embedding."""
    output: Literal["full", "adaptive"] = "full"
    """Softmax over the whole vocabulary, or an adaptive one (for 50,000 units and more; never tied)."""
    activation_penalty: NonNegative = 0.0
    """Weight of the mean square of the outputs in the loss (α of Merity et al. 2017)."""
    slowness_penalty: NonNegative = 0.0
    """Weight of the mean square of the outputs' change from step to step (β of Merity et al. 2017)."""
    word_dropout: Dropout = 0.0
    """Share of the units read that are replaced by the unknown unit in training."""


class TranslatorNetwork(NetworkSettings):
    """A network that reads a source and writes a target."""

    network: Literal[
        "window",
        "concatenated",
        "initial",
        "every-step",
        "dot",
        "additive",
        "bilinear",
        "transformer",
        "latent",
    ] = "bilinear"
    """How the target sees the source: window (a feed-forward net over some words of both), concatenated (one network
    reads source and target), initial (the last state starts the decoder), every-step (and enters each step), dot,
    additive (attention before each step), bilinear (attention after it), transformer, latent (a Gaussian variable)."""
    bidirectional: bool = True
    """Whether the encoder also reads from the end (recurrent networks; concatenated never does)."""
    tied: bool = True
    """Whether the output layer shares its weights with the target's embedding."""
    word_dropout: Dropout = 0.0
    """Share of the units read, on both sides, that are replaced by the unknown unit in training."""
    window: PositiveInt = 10
    """Units of source and target that are seen (window)."""
    latent: PositiveInt = 32
    """Width of the latent variable (latent)."""
    annealing: Fraction = 0.3
    """Share of the training in which the weight of the latent variable's divergence climbs to 1 (latent)."""
    free_bits: NonNegative = 0.1
    """Nats that each dimension of the latent variable may carry for nothing (latent)."""


class ExerciseSettings(SplitSettings):
    """What exercises are made."""

    min_length: PositiveInt = 1
    """Shortest exercise trained on: vectors (copy, reverse, repeat-copy, sort), items (recall), numbers (adding) or
    characters (brackets)."""
    max_length: PositiveInt = 20
    """Longest exercise trained on."""
    test_lengths: str | None = None
    """Lengths that are scored at the end, as 20,40,80. None: max_length, twice and four times that."""
    width: PositiveInt = 8
    """Bits of a vector (6 are usual for recall)."""
    repeats: PositiveInt = 10
    """Most repetitions asked for (repeat-copy)."""
    examples: PositiveInt = 16_000
    """Exercises that count as an epoch; no two epochs have the same."""
    valid_examples: PositiveInt = 256
    """Exercises of each length that are scored."""

    def check(self) -> None:
        """Refuse lengths that can't be."""
        if self.min_length > self.max_length:
            raise SettingError(f"min_length = {self.min_length} is more than max_length = {self.max_length}")
        for word in (self.test_lengths or "").split(","):
            if word.strip() and not (word.strip().isdecimal() and int(word) >= 1):
                raise SettingError(f"test_lengths = {self.test_lengths!r}: expected numbers from 1, as 20,40,80")


class ClassifierSettings(Settings):
    """A text in, a label out."""

    network: ClassifierNetwork = ClassifierNetwork()
    vocabulary: VocabularySettings = VocabularySettings(lowercase=True)
    data: DataSettings = DataSettings()
    training: TrainingSettings = TrainingSettings(epochs=15, batch_tokens=2048, patience=5)
    several: bool = False
    """Whether a text may have several labels, or none."""
    class_weights: Literal["none", "balanced"] = "none"
    """balanced makes rare labels count as much as frequent ones."""
    label_smoothing: Fraction = 0.0
    """Share of the target spread over all labels."""
    threshold: Fraction = 0.5
    """Probability from which a label is said, where there may be several."""
    calibrate: bool = True
    """Whether a temperature is fitted to the validation data after training, so that probabilities are as often right
    as they say (Guo et al. 2017); needs 50 validation examples."""


class TaggerSettings(Settings):
    """Words in, one tag for each out."""

    network: TaggerNetwork = TaggerNetwork(hidden=200, dropout=0.4, word_dropout=0.25)
    vocabulary: VocabularySettings = VocabularySettings(lowercase=True)
    data: ColumnSettings = ColumnSettings()
    training: TrainingSettings = TrainingSettings(epochs=15, batch_tokens=1500, learning_rate=2e-3, schedule="cosine")
    spans: Literal["auto", "yes", "no"] = "auto"
    """Whether tags mark spans (B-, I- ...), which are then scored as entities; auto looks at the tags."""
    label_smoothing: Fraction = 0.0
    """Share of the target spread over all tags (softmax only)."""


class LanguageModelSettings(Settings):
    """Text in, more text out."""

    network: LanguageNetwork = LanguageNetwork(hidden=512, embedding=256, dropout=0.3)
    vocabulary: VocabularySettings = VocabularySettings(units="character")
    data: SplitSettings = SplitSettings()
    training: TrainingSettings = TrainingSettings(
        epochs=10, batch_size=32, steps=100, learning_rate=3e-3, schedule="cosine", warmup=100
    )

    def check(self) -> None:
        """Refuse an adaptive softmax that shares its weights."""
        if self.network.output == "adaptive" and self.network.tied:
            raise SettingError(
                f"output = adaptive can't share the embedding's weights: also say {option('tied', False)}"
            )


class TranslatorSettings(Settings):
    """A text in, another text out."""

    network: TranslatorNetwork = TranslatorNetwork(hidden=256, embedding=256)
    vocabulary: PairVocabularySettings = PairVocabularySettings(size=8000)
    data: PairSettings = PairSettings()
    training: TrainingSettings = TrainingSettings(
        epochs=20, batch_tokens=4096, batch_size=128, learning_rate=2e-3, schedule="cosine", warmup=200, patience=5
    )
    decoding: DecodingSettings = DecodingSettings()
    label_smoothing: Fraction = 0.1
    """Share of the target spread over the vocabulary in training."""
    sampling_start: _Chance = 0.0
    """Chance at the start of training that the decoder reads its own last word instead of the true one; 1 from start to
    end is free running."""
    sampling_end: _Chance = 0.0
    """The same chance at the end of training; between them it moves evenly (scheduled sampling)."""
    coverage: NonNegative = 0.0
    """Weight in the training loss of attending twice to the same place (networks with attention)."""
    copy_unknown: bool = False
    """Whether an unknown word in the output is replaced by the source word most attended to (word units, attention)."""
    choose_by: Literal["bleu", "perplexity"] = "bleu"
    """What chooses the best weights: BLEU of greedy outputs, or perplexity, which is faster."""
    tokenization: Literal["13a", "none", "intl", "zh", "char"] = "13a"
    """How sacreBLEU splits texts before it counts: 13a for ordinary text, none for text that is split already."""
    references: Literal["grouped", "single"] = "grouped"
    """grouped: pairs with the same source count as one sentence with several right outputs; single: each for itself."""

    def check(self) -> None:
        """Refuse what only a network with attention can do."""
        attends = self.network.network in ("dot", "additive", "bilinear", "transformer")
        for name, wanted in (("coverage", self.coverage > 0), ("copy_unknown", self.copy_unknown)):
            if wanted and not attends:
                raise SettingError(
                    f"{name} needs attention, and network = {self.network.network} has none; "
                    f"choose dot, additive, bilinear or transformer"
                )
        if self.copy_unknown and self.vocabulary.units in ("bpe", "unigram"):
            raise SettingError(
                f"copy_unknown copies unknown words, and to units = {self.vocabulary.units} nothing is unknown; "
                f"also say {option('units', 'word')} or {option('units', 'blank')}"
            )
        if self.network.network == "concatenated" and not self.vocabulary.joint:
            raise SettingError(f"network = concatenated reads source and target alike: it needs {option('joint')}")


class MemorySettings(Settings):
    """How the pair is found that a question belongs to."""

    size: PositiveInt = 64
    """Width of the vectors that say what a text is about."""
    shortest: PositiveInt = 3
    """Characters of the shortest piece of a word that is looked at."""
    longest: PositiveInt = 4
    """Characters of the longest."""
    batch_size: PositiveInt = 64
    """Questions of a batch."""
    candidates: PositiveInt = 512
    """Pairs that the questions of a batch choose from."""
    word_dropout: Dropout = 0.3
    """Share of a question's words left out in training."""
    hold_out: Fraction = 0.5
    """How often, in training, a wording is left out of its own pair's key, so that paraphrases find each other."""

    def check(self) -> None:
        """Refuse pieces that are longer than the longest."""
        if self.shortest > self.longest:
            raise SettingError(f"shortest = {self.shortest} is more than longest = {self.longest}")


class AssistantSettings(Settings):
    """Questions and answers in, something to talk to out."""

    memory: MemorySettings = MemorySettings()
    generator: bool = False
    """Whether a network also learns to write answers, which takes minutes: it chooses among several answers to one
    question, and writes its own when asked to."""
    network: TranslatorNetwork = TranslatorNetwork(network="bilinear", hidden=128, embedding=96, dropout=0.2)
    vocabulary: VocabularySettings = VocabularySettings(units="bpe", size=3000)
    data: QuestionSettings = QuestionSettings()
    training: TrainingSettings = TrainingSettings(
        epochs=15, batch_tokens=2048, batch_size=32, learning_rate=5e-3, weight_decay=0.0, schedule="linear"
    )
    decoding: DecodingSettings = DecodingSettings(beam=3)
    label_smoothing: Fraction = 0.1
    """Share of the target spread over the vocabulary in training (generator)."""
    keep: Fraction = 0.95
    """Share of questions like those in the files that are to be answered; the threshold follows from it."""
    threshold: Fraction | None = None
    """Confidence from which an answer is given, else "I don't know". None: chosen from the training data by `keep`."""
    unknown: str = "I don't know."
    """What is said below the threshold."""


class AlgorithmSettings(Settings):
    """Exercises in, a network that does them out."""

    network: StackSettings = StackSettings(cell="ntm", hidden=100, dropout=0.0)
    data: ExerciseSettings = ExerciseSettings()
    training: TrainingSettings = TrainingSettings(epochs=10, batch_size=16, weight_decay=0.0, clip=10.0)


class StorySettings(SplitSettings):
    """How stories are read."""

    format: Literal["babi", "jsonl"] | None = None
    """Form of the files; None: jsonl where the name says so, else babi."""
    skip_bad: bool = False
    """Leave out lines that can't be read, and count them, instead of stopping at the first."""


class ReaderNetwork(Settings):
    """A network that looks sentences up."""

    network: Literal["memory", "key-value", "dynamic"] = "memory"
    """memory: end-to-end memory network (Sukhbaatar et al. 2015); key-value: what is looked for and what is found are
    encoded apart (Miller et al. 2016); dynamic: the cell reads the sentences both ways before they are looked up (Xiong
    et al. 2016)."""
    embedding: PositiveInt = 50
    """Width of all vectors."""
    hops: PositiveInt = 3
    """How often the sentences are looked up, each time with what was found before."""
    slots: PositiveInt = 50
    """Most sentences that are read; the newest of a longer story."""
    encoder: Literal["position", "bag", "cell"] = "position"
    """What makes a vector of a sentence: the sum of its words' vectors weighed by position, their plain sum (bag), or
    the cell."""
    cell: str = "gru"
    """Cell that reads each sentence, where the encoder is cell, and that reads one sentence after the other (dynamic);
    see unspool train classify --help."""
    dropout: Dropout = 0.1
    """Share of values dropped from sentences and before the answer (dynamic)."""
    tying: Literal["adjacent", "layer-wise"] = "adjacent"
    """Which tables hops share (memory): adjacent, the values of each are the keys of the next; layer-wise, all."""
    time_noise: Fraction = 0.1
    """Share of empty slots put between sentences in training, so that ages never come quite the same (memory)."""
    linear_epochs: NonNegativeInt = 0
    """Epochs at the start without the softmax of the hops (memory)."""
    gated: bool = False
    """Whether each hop has a gate, which says how much of what it found takes the question's place (memory)."""

    def check(self) -> None:
        """Keep a stranger's record from building a network without end, and refuse gates where there are none."""
        if self.gated and self.network != "memory":
            raise SettingError(
                f"gated needs network = memory, and network = {self.network} has no gates after its hops; "
                f"say {option('network', 'memory')}, or leave {option('gated', None)} out"
            )
        if self.hops > 64 or max(self.embedding, self.slots) > 65_536:
            raise SettingError(
                f"{self.hops} hops of {self.embedding} over {self.slots} slots: expected at most 64 hops, "
                f"and at most 65536 of the others"
            )


class ReaderSettings(Settings):
    """Stories with questions in, answers out."""

    network: ReaderNetwork = ReaderNetwork()
    data: StorySettings = StorySettings()
    training: TrainingSettings = TrainingSettings(
        epochs=100, batch_size=32, learning_rate=5e-3, weight_decay=0.0, clip=40.0, schedule="cosine"
    )
