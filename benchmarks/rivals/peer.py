"""Our tagger beside Flair's, a toolkit known for its recurrent taggers: same sentences, same sizes, one epoch."""

from __future__ import annotations

import importlib.util
import logging
import tempfile
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from measure import note, table

from unspool import Tagger
from unspool.data import read_sentences
from unspool.training import Reporter

EMBEDDING, CHARACTERS, HIDDEN, SENTENCES, RATE = 100, 25, 200, 32, 2e-3
"""Width of words, of characters and of their LSTM, of the main LSTM; sentences in a batch; learning rate."""

Tagged = list[tuple[list[str], list[str]]]

_DIFFERS = """
Both: one epoch, {sentences} sentences a batch, AdamW at {rate:g}, clipped at 1, words of {embedding}, characters of
{characters} through an LSTM of {characters} in both directions, an LSTM of {hidden} in both directions, softmax,
dropout 0.4. What differs: Flair drops words with chance 0.05 and groups sentences at random, we drop rare words and
group sentences of like length; Flair spells every token anew, we spell every different word of a batch once; Flair
looks words up as they are written, we in lower case. Time is that of training alone: reading the data and learning
the vocabularies are left out for both. The defaults are Unspool's own: a convolution over characters and batches of
1,500 tokens, of at most 32 sentences."""


@dataclass
class Epoch:
    """What one epoch took and gave."""

    name: str
    words: int
    seconds: float
    accuracy: float


def compare_with_flair(path: Path, data: str, count: int) -> str:
    """Train both taggers on the first sentences of a file for one epoch: a section of the report, or a word why not."""
    if importlib.util.find_spec("flair") is None:
        note("Flair is left out: it is not installed (pip install flair)")
        return "\n\n## Beside Flair's tagger\n\nLeft out: Flair is not installed here."
    train, held = _sentences(path, count)
    epochs = []
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "train.conllu"
        _write(file, train)
        same = {"characters": "recurrent", "character_embedding": CHARACTERS, "character_hidden": 2 * CHARACTERS}
        same |= {"batch_size": SENTENCES, "batch_tokens": 100_000, "learning_rate": RATE, "clip": 1.0}
        epochs.append(_ours("Unspool, same sizes", file, train, held, same))
        epochs.append(_ours("Unspool, defaults", file, train, held, {}))
        epochs.append(_flair(Path(folder), train, held))
    words = sum(len(sentence) for sentence, _ in train)
    theirs = epochs[-1]
    rows = []
    for epoch in epochs:
        speed = epoch.words / epoch.seconds
        ratio = speed * theirs.seconds / theirs.words
        told = "" if epoch is theirs else f"{ratio:.2f} win" if ratio > 1 else f"**{ratio:.2f} loss**"
        rows.append([epoch.name, f"{speed:,.0f}", told, f"{epoch.seconds:.1f}", f"{100 * epoch.accuracy:.2f}%"])
    columns = ["tagger", "words/s in training", "times Flair's", "seconds", "accuracy after one epoch"]
    heading = f"\n\n## Beside Flair's tagger\n\n{data}, UPOS: {len(train):,} sentences, {words:,} words; run once.\n\n"
    differs = _DIFFERS.format(sentences=SENTENCES, rate=RATE, embedding=EMBEDDING, characters=CHARACTERS, hidden=HIDDEN)
    return f"{heading}{table(columns, rows)}\n{differs}"


def _sentences(path: Path, count: int) -> tuple[Tagged, Tagged]:
    """The first sentences, and others to score: the development file beside them, else the ones that follow."""
    held = path.with_name(path.name.replace("train", "dev"))
    if held != path and held.is_file():
        return list(islice(_read(path), count)), list(_read(held))
    together = list(islice(_read(path), count))
    cut = max(1, len(together) // 10)
    return together[cut:], together[:cut]


def _read(path: Path) -> Iterator[tuple[list[str], list[str]]]:
    for sentence in read_sentences(path):
        yield sentence.columns["form"], sentence.columns["upos"]


def _write(path: Path, sentences: Tagged) -> None:
    blank = ["_"] * 6
    with path.open("w", encoding="utf-8") as file:
        for words, tags in sentences:
            rows = (
                "\t".join([str(n), word, "_", tag, *blank])
                for n, (word, tag) in enumerate(zip(words, tags, strict=True), 1)
            )
            file.write("\n".join(rows) + "\n\n")


def _ours(name: str, file: Path, train: Tagged, held: Tagged, values: dict[str, Any]) -> Epoch:
    tagger = Tagger(epochs=1, fuse="constant", embedding=EMBEDDING, hidden=HIDDEN, valid_fraction=0.0, **values)
    tagger.fit(file, baselines=False, reporter=Reporter())
    assert tagger.record is not None
    said = [tags for _, tags, *_ in tagger.predict([words for words, _ in held])]
    count = sum(len(words) for words, _ in train)
    return Epoch(name, count, float(tagger.record.training["seconds"]), _accuracy(held, said))


def _flair(folder: Path, train: Tagged, held: Tagged) -> Epoch:
    with _quietly():
        import flair  # type: ignore[import-not-found, unused-ignore]
        from flair.data import Corpus, Dictionary, Sentence  # type: ignore[import-not-found, unused-ignore]
        from flair.datasets import FlairDatapointDataset  # type: ignore[import-not-found, unused-ignore]
        from flair.embeddings import CharacterEmbeddings, OneHotEmbeddings, StackedEmbeddings  # type: ignore[import-not-found, unused-ignore]
        from flair.models import SequenceTagger  # type: ignore[import-not-found, unused-ignore]
        from flair.trainers import ModelTrainer  # type: ignore[import-not-found, unused-ignore]

        flair.device = torch.device("cpu")
        flair.set_seed(0)
        sentences = []
        for words, tags in train:
            sentence = Sentence(words)
            for token, tag in zip(sentence, tags, strict=True):
                token.add_label("upos", tag)
            sentences.append(sentence)
        corpus = Corpus(train=FlairDatapointDataset(sentences), sample_missing_splits=False, name="benchmark")
        letters = Dictionary(add_unk=True)
        for letter in sorted({letter for words, _ in train for word in words for letter in word}):
            letters.add_item(letter)
        table_of_words = OneHotEmbeddings.from_corpus(corpus, field="text", min_freq=1, embedding_length=EMBEDDING)
        tagger = SequenceTagger(
            StackedEmbeddings([table_of_words, CharacterEmbeddings(letters, CHARACTERS, CHARACTERS)]),
            corpus.make_label_dictionary("upos", add_unk=False),
            "upos",
            hidden_size=HIDDEN,
            use_crf=False,
            reproject_embeddings=False,
            dropout=0.4,
            locked_dropout=0.0,
        )
        trainer = ModelTrainer(tagger, corpus)
        began = time.perf_counter()
        trainer.train_custom(
            folder / "flair",
            learning_rate=RATE,
            mini_batch_size=SENTENCES,
            max_epochs=1,
            optimizer=torch.optim.AdamW,
            max_grad_norm=1.0,
            embeddings_storage_mode="none",
            save_final_model=False,
            create_file_logs=False,
            create_loss_file=False,
        )
        took = time.perf_counter() - began
        asked = [Sentence(words) for words, _ in held]
        tagger.predict(asked, mini_batch_size=64, label_name="said")
        said = [[token.get_label("said").value for token in sentence] for sentence in asked]
    count = sum(len(words) for words, _ in train)
    return Epoch(f"Flair {flair.__version__}, same sizes", count, took, _accuracy(held, said))


def _accuracy(held: Tagged, said: list[list[str]]) -> float:
    pairs = [(a, b) for (_, tags), answer in zip(held, said, strict=True) for a, b in zip(tags, answer, strict=True)]
    return sum(a == b for a, b in pairs) / len(pairs)


@contextmanager
def _quietly() -> Iterator[None]:
    """Keep Flair's log lines, progress bars and warnings off the report."""
    logging.disable(logging.INFO)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(logging.NOTSET)
