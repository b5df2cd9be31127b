"""The three tasks from file to model folder and back, on data small enough to see through."""

from __future__ import annotations

import errno
import json
import random
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

import unspool
from unspool import Cell, Classifier, LanguageModel, Tagger
from unspool.decoding import text_pieces
from unspool.errors import (
    DataError,
    MachineError,
    ModelFolderError,
    SettingError,
    UnfinishedTrainingWarning,
    UsageError,
)
from unspool.training import Reporter

SILENT = Reporter()
SMALL: dict[str, Any] = {"hidden": 5, "embedding": 6, "epochs": 2, "dropout": 0.1, "batch_tokens": 40, "threads": 1}


class EchoState(NamedTuple):
    h: Tensor


class EchoCell(Cell[EchoState]):
    """A cell of a person's own."""

    def __init__(self, input_size: int, hidden_size: int) -> None:
        super().__init__(input_size, hidden_size)
        self.weight = self.parameter(hidden_size, input_size)

    def initial_state(self, batch_size: int) -> EchoState:
        return EchoState(self.weight.new_zeros(batch_size, self.hidden_size))

    def step(self, x: Tensor, state: EchoState, *context: Tensor) -> tuple[Tensor, EchoState]:
        h = 0.5 * state.h + torch.tanh(F.linear(x, self.weight))
        self.record(echo=h)
        return h, EchoState(h)


@pytest.fixture
def reviews(tmp_path: Path) -> Path:
    lot = random.Random(1)
    lines = ["text\tlabel"]
    for _ in range(60):
        good = lot.random() < 0.5
        words = [lot.choice(["film", "plot", "cast", "end"]) for _ in range(lot.randint(1, 6))]
        words.insert(lot.randint(0, len(words)), lot.choice(["joy", "gem"] if good else ["bore", "mess"]))
        lines.append(f"{' '.join(words)}\t{'pos' if good else 'neg'}")
    path = tmp_path / "reviews.tsv"
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.fixture
def sentences(tmp_path: Path) -> Path:
    lot = random.Random(2)
    blocks = []
    for _ in range(50):
        rows = []
        for _ in range(lot.randint(1, 7)):
            if lot.random() < 0.4:
                name = lot.choice(["Ann", "Bo", "Cid"])
                rows += [f"{name} NN I-PER"] + [f"{lot.choice(['Lee', 'Moe'])} NN I-PER"] * lot.randint(0, 1)
                rows += ["Dot NN B-PER"] * (lot.random() < 0.2)
            rows.append(f"{lot.choice(['runs', 'sees', 'eats'])} VB O")
        blocks.append("\n".join(rows))
    path = tmp_path / "names.conll"
    path.write_text("\n\n".join(blocks) + "\n")
    return path


@pytest.fixture
def text(tmp_path: Path) -> Path:
    path = tmp_path / "song.txt"
    path.write_text("the cat sat on the mat .\nthe dog sat on the log , né ?\n" * 40, encoding="utf-8")
    return path


def folder_bytes(folder: Path) -> bytes:
    return (folder / "model.safetensors").read_bytes()


@pytest.mark.parametrize(
    "settings",
    [
        {"cell": "gru-reset-before", "pooling": "last", "layers": 2, "residual": True},
        {"network": "bag"},
        {"pooling": "attention", "characters": "convolution", "variational": True, "weight_dropout": 0.3},
        {"units": "bpe", "size": 280, "pooling": "mean", "class_weights": "balanced", "label_smoothing": 0.1},
        {"units": "character", "cell": "mingru", "bidirectional": False, "initialization": "orthogonal"},
    ],
    ids=str,
)
def test_a_classifier_says_the_same_after_saving_and_loading(settings, reviews, tmp_path):
    model = Classifier(**{**SMALL, **settings}).fit(reviews, out=tmp_path / "model", reporter=SILENT)
    said = model.predict(["a joy of a film", "mess"])
    again = unspool.load(tmp_path / "model")
    assert isinstance(again, Classifier)
    assert again.predict(["a joy of a film", "mess"]) == said
    assert again.evaluate(reviews) == model.evaluate(reviews)
    assert set(said[0].probabilities) == {"pos", "neg"}
    assert sum(said[0].probabilities.values()) == pytest.approx(1, abs=1e-5)


def test_predictions_do_not_depend_on_what_they_are_batched_with(reviews, tmp_path):
    model = Classifier(**SMALL, characters="recurrent").fit(reviews, reporter=SILENT)
    texts = ["joy", "the plot is a mess from beginning to end and then some", "film film"]
    together = model.predict(texts)
    for text, expected in zip(texts, together, strict=True):
        alone = model.predict([text])[0]
        assert alone.probabilities == pytest.approx(expected.probabilities, abs=1e-6)


def test_the_bag_does_not_see_order_and_the_lstm_does(reviews):
    there, back = "joy film plot mess", "mess plot film joy"
    bag = Classifier(**SMALL, network="bag", ngrams=False).fit(reviews, reporter=SILENT)
    assert bag.predict([there])[0].probabilities == pytest.approx(bag.predict([back])[0].probabilities, abs=1e-6)
    lstm = Classifier(**SMALL, ngrams=False).fit(reviews, reporter=SILENT)
    assert lstm.predict([there])[0].probabilities != pytest.approx(lstm.predict([back])[0].probabilities, abs=1e-6)


def test_several_labels(tmp_path):
    rows = [{"text": f"{a} {b}", "label": [x for x in (a, b) if x != "none"]} for a in "xyz" for b in ("w", "none")]
    path = tmp_path / "films.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows * 12))
    settings = {**SMALL, "epochs": 30, "hidden": 16, "learning_rate": 0.02, "dropout": 0.0}
    model = Classifier(**settings, several=True).fit(path, valid=path, out=tmp_path / "m", reporter=SILENT)
    assert model.record is not None
    assert model.record.metrics["valid"]["exact_match"] == 1.0
    loaded = unspool.load(tmp_path / "m")
    assert set(loaded.predict(["x w"])[0].labels) == {"x", "w"}
    assert loaded.predict(["z none"])[0].labels == ("z",)


def test_a_tagger_reads_iob1_and_writes_it_again(sentences, tmp_path):
    settings = {**SMALL, "epochs": 12, "hidden": 12, "learning_rate": 0.02, "dropout": 0.0, "word_dropout": 0.0}
    model = Tagger(**settings).fit(sentences, valid=sentences, out=tmp_path / "m", reporter=SILENT)
    assert model.fitted.scheme == "IOB1"
    assert model.model.crf is not None
    loaded = unspool.load(tmp_path / "m")
    assert loaded.evaluate(sentences)["f1"] == model.evaluate(sentences)["f1"] == 1.0
    said = loaded.predict(["Ann Lee Dot runs", "sees"])
    assert said[0].tags == ["I-PER", "I-PER", "B-PER", "O"]
    assert [tuple(span) for span in said[0].spans] == [(0, 2, "PER"), (2, 3, "PER")]
    assert said[1].tags == ["O"]
    assert all(0.5 < share <= 1 for share in said[0].probabilities)
    assert loaded.score_types(sentences)["PER"]["f1"] == 1.0


def test_a_tagger_without_spans_chooses_its_columns(sentences):
    model = Tagger(**SMALL, words="1", tags="2").fit(sentences, reporter=SILENT)
    assert model.fitted.scheme is None
    assert set(model.fitted.labels) == {"NN", "VB"}
    assert model.model.crf is None
    with pytest.raises(DataError, match="there is no column '4'; the columns are 1, 2, 3"):
        Tagger(**SMALL, tags="4").fit(sentences, reporter=SILENT)
    with pytest.raises(DataError, match="both read from column '2'"):
        Tagger(**SMALL, words="2", tags="2").fit(sentences, reporter=SILENT)


@pytest.mark.parametrize("units", ["character", "blank", "bpe"])
def test_a_language_model_writes_the_same_with_the_same_seed(units, text, tmp_path):
    size = {"size": 290} if units == "bpe" else {}
    model = LanguageModel(**{**SMALL, "steps": 16, "batch_size": 4, "units": units, **size})
    model.fit(text, out=tmp_path / "m", reporter=SILENT)
    loaded = unspool.load(tmp_path / "m")
    assert isinstance(loaded, LanguageModel)
    written = loaded.generate("the cat", length=150, seed=3)
    assert written == model.generate("the cat", length=150, seed=3)
    assert written.startswith("the cat")
    assert written != model.generate("the cat", length=150, seed=4)
    assert "<pad>" not in written
    if units != "bpe":  # whose bytes need not make characters before it has learned to
        assert "\ufffd" not in written
    assert "".join(loaded.stream("the cat", length=150, seed=3)) == written.removeprefix("the cat")


def test_reading_a_text_at_once_or_window_by_window_costs_the_same(text):
    model = LanguageModel(**{**SMALL, "steps": 7, "batch_size": 2}).fit(text, reporter=SILENT)
    whole = model._read(text)
    tokens = model._tokens(whole)
    one = model._read_through(model.model, tokens, None, columns=1)
    ids = torch.tensor(np.concatenate([[2], tokens]).astype(np.int64)).unsqueeze(1)
    scores, _ = model.model(ids[:-1])
    expected = -scores[:, 0].gather(1, ids[1:]).mean()
    assert one["nats"] == pytest.approx(float(expected.detach()), rel=1e-5)


def test_resumed_training_ends_with_the_same_bits(reviews, tmp_path):
    settings = {**SMALL, "epochs": 4, "average": "ema", "word_dropout": 0.5}
    whole = Classifier(**settings).fit(reviews, out=tmp_path / "whole", reporter=SILENT)

    class StopAtTwo(Reporter):
        def validated(self, progress: Any, metrics: Any, improved: Any) -> None:
            if progress.epoch >= 2:
                raise RuntimeError("power cut")

    with pytest.raises(RuntimeError, match="power cut"):
        Classifier(**settings).fit(reviews, out=tmp_path / "cut", reporter=StopAtTwo())
    with pytest.warns(UnfinishedTrainingWarning, match=r"after epoch 1: .*resume=True"):
        unspool.load(tmp_path / "cut")
    resumed = Classifier(**settings).fit(reviews, out=tmp_path / "cut", resume=True, reporter=SILENT)
    assert folder_bytes(tmp_path / "cut") == folder_bytes(tmp_path / "whole")
    assert resumed.record is not None
    assert whole.record is not None
    assert resumed.record.metrics == whole.record.metrics


def test_resume_refuses_other_data(reviews, tmp_path):
    Classifier(**SMALL).fit(reviews, out=tmp_path / "m", reporter=SILENT)
    with reviews.open("a") as file:
        file.write("new gem\tpos\n")
    with pytest.raises(DataError, match="the train data are not those"):
        Classifier(**SMALL).fit(reviews, out=tmp_path / "m", resume=True, reporter=SILENT)


def test_nothing_is_overwritten(reviews, tmp_path):
    (tmp_path / "m").mkdir()
    (tmp_path / "m" / "thesis.txt").write_text("years of work")
    with pytest.raises(UsageError, match="is not empty; nothing is overwritten"):
        Classifier(**SMALL).fit(reviews, out=tmp_path / "m", reporter=SILENT)
    assert (tmp_path / "m" / "thesis.txt").read_text() == "years of work"


def test_a_cell_of_ones_own_trains_traces_and_loads_without_its_code(reviews, tmp_path):
    model = Classifier(**SMALL, cell=EchoCell).fit(reviews, out=tmp_path / "m", reporter=SILENT)
    trace = model.trace("a joy to see")
    assert trace.tokens == ("a", "joy", "to", "see")
    assert {"layer 1 forward / echo", "layer 1 backward / echo"} <= set(trace.arrays)
    assert np.array_equal(trace.array("layer 1 forward / echo"), trace.array("layer 1 forward / h"))
    again = unspool.load(tmp_path / "m", cell=EchoCell)
    assert again.predict(["joy"])[0].probabilities == model.predict(["joy"])[0].probabilities
    stored = unspool.load(tmp_path / "m")
    assert not isinstance(stored.model.encoder.layers[0][0], EchoCell)
    for name, array in model.trace("a joy to see").arrays.items():
        np.testing.assert_allclose(stored.trace("a joy to see").array(name), array, atol=1e-6)
    with pytest.raises(UsageError, match="runs EchoCell from its traced step, which does not train"):
        stored.fit(reviews, reporter=SILENT)


@pytest.mark.parametrize("backward", [False, True])
def test_a_trace_shows_the_numbers_of_the_forward_pass_in_reading_order(backward, reviews):
    model = Classifier(**SMALL, pooling="last").fit(reviews, reporter=SILENT)
    trace = model.trace("film plot joy")
    place = "layer 1 backward" if backward else "layer 1 forward"
    cell = model.model.encoder.layers[0][int(backward)]
    vectors = model.model.embedding.table(torch.tensor(model.fitted.input.vocabulary.encode("film plot joy")))
    state = cell.initial_state(1)
    steps = list(range(3))
    for step in reversed(steps) if backward else steps:
        _, state = cell.step(vectors[step][None], state)
        torch.testing.assert_close(torch.tensor(trace.array(f"{place} / c")[step]), state.c[0].detach())
    assert trace.prediction["probabilities"] == model.predict(["film plot joy"])[0].probabilities


def test_labels_not_seen_in_training(reviews, tmp_path):
    other = tmp_path / "other.tsv"
    other.write_text("text\tlabel\nfine film\tpos\nodd film\tpoz\n")
    with pytest.raises(DataError, match=r"other.tsv:3: the label 'poz' was not seen in training \(did you mean 'pos'"):
        Classifier(**SMALL).fit(reviews, valid=other, reporter=SILENT)
    model = Classifier(**SMALL, skip_bad=True).fit(reviews, valid=other, reporter=SILENT)
    assert model.evaluate(other)["accuracy"] in (0.0, 0.5)  # the unseen label counts as wrong


def test_a_network_that_is_not_trained_says_so(reviews):
    with pytest.raises(UsageError, match="has not been trained"):
        Classifier().predict(["a"])
    with pytest.raises(SettingError, match="did you mean 'hidden'"):
        Classifier(hiden=3)
    with pytest.raises(SettingError, match=r"there is no cell 'lstn' \(did you mean 'lstm'"):
        Classifier(**SMALL, cell="lstn").fit(reviews, reporter=SILENT)


def test_settings_and_cells_under_other_names_are_recorded_under_their_own(reviews, tmp_path):
    settings = {**SMALL, "cell": "min_GRU", "hidden_size": 7, "num_layers": 2, "lr": 0.02, "optimizer": "Adam"}
    del settings["hidden"]
    Classifier(**settings).fit(reviews, baselines=False, out=tmp_path / "m", reporter=SILENT)
    record = json.loads((tmp_path / "m" / "unspool.json").read_text())["settings"]
    assert (record["network"]["cell"], record["network"]["hidden"], record["network"]["layers"]) == ("mingru", 7, 2)
    assert (record["training"]["learning_rate"], record["training"]["optimizer"]) == (0.02, "adam")
    assert unspool.load(tmp_path / "m").settings.network.cell == "mingru"


def test_a_damaged_folder_is_refused_with_a_sentence(reviews, tmp_path):
    folder = tmp_path / "m"
    Classifier(**SMALL).fit(reviews, out=folder, reporter=SILENT)
    record = json.loads((folder / "unspool.json").read_text())

    def change(**changes: Any) -> None:
        (folder / "unspool.json").write_text(json.dumps({**record, **changes}))

    change(format=99)
    with pytest.raises(ModelFolderError, match="newer Unspool"):
        unspool.load(folder)
    change(task="dance")
    with pytest.raises(ModelFolderError, match="task 'dance'"):
        unspool.load(folder)
    huge = {**record["settings"], "network": {**record["settings"]["network"], "hidden": 60_000}}
    change(settings=huge)
    with pytest.raises(ModelFolderError, match="has shape"):
        unspool.load(folder)
    change(settings={**record["settings"], "extra": 1})
    with pytest.raises(ModelFolderError, match="no setting 'extra'"):
        unspool.load(folder)
    change()
    weights = folder_bytes(folder)
    (folder / "model.safetensors").write_bytes(weights[: len(weights) // 2])
    with pytest.raises(ModelFolderError, match="damaged"):
        unspool.load(folder)
    (folder / "unspool.json").write_text('{"format": 1')
    with pytest.raises(ModelFolderError, match="damaged"):
        unspool.load(folder)
    with pytest.raises(ModelFolderError, match="does not exist"):
        unspool.load(tmp_path / "nowhere")


def test_a_label_never_seen_costs_recall_where_there_may_be_several(tmp_path):
    rows = [{"text": word, "label": [word]} for word in "xyz"] * 12
    train, test = tmp_path / "train.jsonl", tmp_path / "test.jsonl"
    train.write_text("".join(json.dumps(row) + "\n" for row in rows))
    test.write_text(json.dumps({"text": "x", "label": ["x", "new"]}) + "\n")
    settings = {**SMALL, "epochs": 40, "hidden": 16, "learning_rate": 0.03, "dropout": 0.0}
    model = Classifier(**settings, several=True).fit(train, valid=train, reporter=SILENT)
    assert model.predict(["x"])[0].labels == ("x",)
    scores = model.evaluate(test)
    assert scores["micro_precision"] == 1.0
    assert scores["micro_recall"] == 0.5
    assert scores["exact_match"] == 0.0


def test_training_on_everything_keeps_the_last_weights(reviews):
    model = Classifier(**SMALL, valid_fraction=0.0).fit(reviews, reporter=SILENT)
    assert model.record is not None
    assert model.record.data.keys() == {"train"}
    assert model.record.training["epochs"] == 2


def test_a_model_that_demands_torchs_kernels_can_be_looked_into(reviews):
    model = Classifier(**SMALL, backend="native").fit(reviews, reporter=SILENT)
    assert "layer 1 forward / forget" in model.trace("a film").arrays
    assert model.model.encoder.backend == "native"
    plain = Classifier(**SMALL, backend="reference").fit(reviews, reporter=SILENT)
    assert "reference" in plain.describe()["engine"][0]


def test_special_units_in_capitals_are_one_unit_everywhere(reviews):
    with reviews.open("a") as file:
        file.write("an <EOS> in a <UNK> film\tpos\n" * 20)
    model = Classifier(**SMALL, characters="convolution").fit(reviews, reporter=SILENT)
    assert len(model.trace("a <UNK> film").tokens) == 3


def test_two_texts_of_one_length_are_not_taken_for_each_other(tmp_path, monkeypatch):
    monkeypatch.setattr("unspool.tasks.write.language_model._IN_MEMORY", 10)
    one, other = tmp_path / "one.txt", tmp_path / "other.txt"
    one.write_text("ab" * 300)
    other.write_text("ba" * 150 + "aa" * 150)
    seen = []

    class Watching(LanguageModel):
        def _tokens(self, corpus):
            seen.append((corpus.paths, super()._tokens(corpus).tolist()))
            return super()._tokens(corpus)

    settings = {**SMALL, "steps": 16, "batch_size": 4}
    model = Watching(**settings).fit(one, valid=other, baselines=False, out=tmp_path / "m", reporter=SILENT)
    read = {paths: tokens for paths, tokens in seen if len(tokens) == 600}
    assert len({tuple(tokens) for tokens in read.values()}) == 2
    assert not list((tmp_path / "m" / "training").glob("tokens-*"))
    before = model.evaluate(other)
    other.write_text("aa" * 300)
    assert model.evaluate(other) != before


def test_streamed_pieces_lose_no_character_where_the_window_moves(text):
    model = LanguageModel(**{**SMALL, "units": "bpe", "size": 259, "steps": 16, "batch_size": 4})
    model.fit(text, baselines=False, reporter=SILENT)
    whole = "x€" * 100 + "é" * 50
    begin = model.vocabulary.encode("a")
    assert "".join(text_pieces(model.vocabulary.decode, iter(model.vocabulary.encode(whole)), begin=begin)) == whole


def test_a_stream_computes_what_is_asked_for_and_nothing_after_it_is_closed(text, monkeypatch):
    model = LanguageModel(**{**SMALL, "steps": 16, "batch_size": 4}).fit(text, baselines=False, reporter=SILENT)
    steps = []
    unbroken = type(model.model).advance
    monkeypatch.setattr(type(model.model), "advance", lambda *given: steps.append(1) or unbroken(*given))
    pieces = model.stream("the ", length=10**9, seed=1)
    assert steps == []
    first = [next(pieces) for _ in range(5)]
    assert all(first)
    assert len(steps) == 5 + 4  # end and prompt, and a step before each piece but the first
    pieces.close()
    assert list(pieces) == []
    assert len(steps) == 9
    assert "".join(first) == model.generate("the ", length=5, seed=1).removeprefix("the ")
    with pytest.raises(UsageError, match="length = -1"):
        model.stream(length=-1)  # at once, not at the first piece
    with pytest.raises(UsageError, match="stream takes one text"):
        model.stream(["the"])  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="has not been trained"):
        LanguageModel().stream()


def test_a_language_models_trace_is_of_the_run_that_gave_the_surprise(text):
    model = LanguageModel(**{**SMALL, "steps": 16, "batch_size": 4}).fit(text, baselines=False, reporter=SILENT)
    trace = model.trace("the")
    cell = model.model.decoder.layers[0][0]
    state = cell.initial_state(1)
    for unit in (2, model.vocabulary.encode("t")[0]):
        _, state = cell.step(model.model.embedding.table(torch.tensor([unit])), state)
    torch.testing.assert_close(torch.tensor(trace.array("layer 1 / h")[0]), state.h[0].detach())


def test_accuracy_does_not_hang_on_the_scheme_that_spans_are_written_in(sentences, tmp_path):
    from unspool.tasks.parts.spans import convert

    settings = {**SMALL, "epochs": 12, "hidden": 12, "learning_rate": 0.02, "dropout": 0.0, "word_dropout": 0.0}
    model = Tagger(**settings).fit(sentences, valid=sentences, reporter=SILENT)
    blocks = []
    for block in sentences.read_text().strip().split("\n\n"):
        rows = [row.split() for row in block.split("\n")]
        tags = convert([row[2] for row in rows], "BIOES")
        blocks.append("\n".join(f"{row[0]} {row[1]} {tag}" for row, tag in zip(rows, tags, strict=True)))
    other = tmp_path / "bioes.conll"
    other.write_text("\n\n".join(blocks) + "\n")
    assert model.evaluate(other) == model.evaluate(sentences)


def test_saving_that_fails_leaves_the_folder_as_it_was(reviews, tmp_path, monkeypatch):
    model = Classifier(**SMALL).fit(reviews, out=tmp_path / "m", reporter=SILENT)
    said = model.predict(["joy"])
    before = {path: path.read_bytes() for path in (tmp_path / "m").rglob("*") if path.is_file()}
    with torch.no_grad():
        model.model.output.bias.add_(9.0)

    def refuse(*_):
        raise OSError(errno.EIO, "no such luck")

    monkeypatch.setattr(
        "unspool.tasks.running.save_and_load.model_card", refuse
    )  # vocabularies and weights are written by then
    with pytest.raises(
        MachineError, match=r"m: it can't be written \(no such luck\); what was there before is unharmed"
    ):
        model.save(tmp_path / "m")
    assert {path: path.read_bytes() for path in (tmp_path / "m").rglob("*") if path.is_file()} == before
    assert unspool.load(tmp_path / "m").predict(["joy"]) == said


@pytest.mark.learn
def test_number_agreement_is_learned_by_an_lstm_and_not_by_a_bag(tmp_path):
    from unspool.samples.agreement import train_and_test, write_tsv

    train, test = train_and_test(3000, 600, seed=4)
    write_tsv(tmp_path / "train.tsv", train)
    write_tsv(tmp_path / "test.tsv", test)
    settings = {"hidden": 48, "embedding": 32, "epochs": 8, "bidirectional": False, "pooling": "last", "dropout": 0.1}
    scores = {}
    for network in ("recurrent", "bag"):
        model = Classifier(**settings, learning_rate=5e-3, network=network, plan=False, ngrams=False)
        model.fit(tmp_path / "train.tsv", test=tmp_path / "test.tsv", baselines=False, reporter=SILENT)
        assert model.record is not None
        scores[network] = model.record.metrics["test"]["accuracy"]
    assert scores["recurrent"] > 0.9
    assert scores["bag"] < 0.85


def test_final_scores_are_counted_as_they_are_computed(tmp_path):
    class Counts(Reporter):
        interval = 0.0
        heard: ClassVar[list[tuple[str, int, int]]] = []
        ends = 0

        def scoring(self, part, done, total):
            self.heard.append((part, done, total))

        def scored(self):
            self.ends += 1

    data = tmp_path / "data.tsv"
    data.write_text("text\tlabel\n" + "a fine film\tgood\na dull film\tbad\n" * 10)
    ear = Counts()
    Classifier(hidden=4, embedding=3, epochs=1).fit(data, valid=data, test=data, baselines=False, reporter=ear)
    assert ear.heard[-1] == ("test", 20, 20)
    assert {part for part, _, _ in ear.heard} == {"validation", "test"}
    assert ear.ends == 2
