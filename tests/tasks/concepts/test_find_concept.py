"""The concept finder on trained tasks: a planted unit, shuffled labels, and scores equal to those of traces."""

from __future__ import annotations

import json
import random
from itertools import pairwise

import numpy as np
import pytest
import torch
import torch.nn.functional as F

import unspool
from unspool import Cell, Classifier, LanguageModel, Tagger, find_concept
from unspool.data.brackets import depths
from unspool.errors import DataError, ModelFolderError, UsageError
from unspool.inspection import UnitName, concepts
from unspool.tasks.concepts import measuring

SMALL = {"hidden": 10, "embedding": 6, "epochs": 1, "plan": False, "device": "cpu", "threads": 1}


class LeakyCell(Cell):
    """A cell of the user's own, with one part of the state."""

    def __init__(self, input_size, hidden_size):
        super().__init__(input_size, hidden_size)
        self.weight_ih = self.parameter(hidden_size, input_size)
        self.weight_hh = self.parameter(hidden_size, hidden_size)

    def initial_state(self, batch_size):
        from unspool.cells.elman import ElmanState

        return ElmanState(self.weight_hh.new_zeros(batch_size, self.hidden_size))

    def step(self, x, state):
        h = 0.8 * state.h + 0.2 * torch.tanh(F.linear(x, self.weight_ih) + F.linear(state.h, self.weight_hh))
        return h, type(state)(h)


def bracket_text(length: int, seed: int) -> str:
    """Letters and balanced brackets, at most four deep, in lines that close them all."""
    draw, lines, count = random.Random(seed), [], 0
    while count < length:
        line, depth = [], 0
        for _ in range(draw.randint(10, 30)):
            sign = draw.choice("()abcdabcd")
            depth += (sign == "(") - (sign == ")")
            if not 0 <= depth <= 4:
                depth -= (sign == "(") - (sign == ")")
                sign = "e"
            line.append(sign)
        lines.append("".join(line) + ")" * depth)
        count += len(lines[-1]) + 1
    return "\n".join(lines) + "\n"


@pytest.fixture(scope="module")
def text() -> str:
    return bracket_text(6000, 1)


@pytest.fixture(scope="module")
def planted(text) -> LanguageModel:
    """A network with random weights in which unit 6 counts brackets, and closing brackets depend on it."""
    model = LanguageModel(units="character", tied=False, **SMALL).fit([text], baselines=False)
    ids = {sign: model.vocabulary.id(sign) for sign in "()\n"}
    cell = model.model.decoder.layers[0][0]
    table, softmax = model.model.embedding.table.weight, model.model.softmax
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for weight in model.model.parameters():
            weight.normal_(0, 0.5, generator=generator)
        table[:, 0] = 0
        table[ids["("], 0], table[ids[")"], 0] = 1, -1
        for block, bias in enumerate((9.0, 9.0, 0.0, 9.0)):  # input, forget, candidate, output
            row = block * 10 + 6
            cell.weight_ih[row], cell.weight_hh[row] = 0, 0
            cell.bias_ih[row], cell.bias_hh[row] = bias, 0
        cell.weight_ih[2 * 10 + 6, 0] = 0.2
        softmax.weight.mul_(0.2)
        softmax.weight[:, 6] = 0
        softmax.weight[ids[")"], 6], softmax.weight[ids["\n"], 6] = 4, -6
    return model


def test_a_planted_counter_ranks_first_and_is_used(planted, text):
    stages = []
    report = find_concept(
        planted, [text], "depth", ablation_tokens=3000, progress=lambda stage, done, total: stages.append(stage)
    )
    first, second = report.ranking(2)
    assert {first.name, second.name} == {"layer 1 / c, unit 7", "layer 1 / h, unit 7"}
    assert report.verdict == "tracks and uses"
    assert report.best.direction == 1
    assert report.best.score > 0.5 > report.controls["token identity"] + 0.1
    assert report.best.score > report.controls["untrained network"] + 0.2
    assert abs(report.controls["shuffled labels"]) < 0.1
    assert report.ablation.expected == "closing bracket"
    assert report.ablation.parts == ("h", "c")
    assert report.ablation.hurts
    assert len(report.ablation.random_units) <= 9
    assert report.probe[0].unit == 6
    assert report.probe_score > report.probe_control + 0.3
    assert report.threshold_accuracy > 0.8
    assert list(dict.fromkeys(stages)) == ["network", "untrained network", "ablation"]


def test_a_function_is_a_property_too(planted, text):
    report = find_concept(planted, [text], lambda text: depths(text) > 1, ablate=False, untrained=False)
    assert (report.kind, report.best.unit, report.verdict) == ("binary", 6, "correlates, use not tested")
    assert report.best.score > 0.85
    assert "untrained network" not in report.controls


def shuffled(seed: int):
    def label(text: str) -> np.ndarray:
        series = np.random.default_rng(seed).normal(size=len(text)).cumsum()
        return series - np.convolve(np.pad(series, 50, mode="edge"), np.ones(101) / 101, mode="valid")

    return label


def times_found(model: LanguageModel, text: str, runs: range) -> int:
    """In how many runs a label without relation to the text is reported as tracked."""
    reports = (find_concept(model, [text], shuffled(seed), ablate=False, untrained=False) for seed in runs)
    return sum(report.verdict != "nothing" for report in reports)


def test_labels_without_relation_find_nothing(planted, text):
    assert times_found(planted, text, range(8)) <= 1


@pytest.mark.slow
def test_labels_without_relation_find_nothing_in_95_of_100_runs(planted, text):
    assert times_found(planted, text, range(100, 200)) <= 5


def test_the_report_is_plain_data_and_fits_80_columns(planted, text):
    from rich.console import Console

    report = find_concept(planted, [text], "depth", ablation_tokens=500, random_units=3)
    record = json.loads(json.dumps(report.record(), allow_nan=False))
    assert record["best"]["unit"] == report.best.unit + 1
    assert np.array(record["units"]["scores"]).shape == report.scores.shape == (20, 1)
    assert record["arrays"] == {"layer 1 / h": 10, "layer 1 / c": 10}
    for colours in (None, "truecolor"):
        console = Console(width=80, color_system=colours, force_terminal=colours is not None, highlight=False)
        with console.capture() as capture:
            report.show(console)
        plain = capture.get() if colours is None else ""
        assert all(len(line) <= 80 for line in plain.splitlines())
    for part in ("bracket depth: tracks", "token identity", "closing bracket", "layer 1 / c, unit 7", "highest"):
        assert part in plain or not plain
    assert "bracket depth" in repr(report)


def test_several_runs_for_little_memory_give_the_same(planted, text, monkeypatch):
    options = {"ablate": False, "untrained": False}
    whole = find_concept(planted, [text], "depth", **options)
    monkeypatch.setattr(measuring, "_MOST_NUMBERS", 7 * sum(whole.tokens))
    parts = find_concept(planted, [text], "depth", **options)
    np.testing.assert_array_equal(whole.scores, parts.scores)
    np.testing.assert_array_equal(whole.p, parts.p)
    assert parts.controls == whole.controls


def test_streamed_scores_equal_a_run_over_each_stretch(planted, text):
    report = find_concept(planted, [text], "depth", ablate=False, untrained=False)
    ids = planted.vocabulary.encode_stream(text)
    count = min(64, len(ids) // 256) // 2 * 2
    nominal = [len(ids) * number // count for number in range(1, count)]
    starts = [0, *(text.index("\n", place - 1) + 1 for place in nominal), len(ids)]  # the lines at or after them
    label, units, values = depths(text), ([], []), ([], [])
    for number, (begin, end) in enumerate(pairwise(starts)):
        state, rows = planted.model.start(1), []
        with torch.no_grad():
            for id in ids[begin:end].tolist():
                _, state = planted.model.states(torch.tensor([[id]]), state)
                rows.append(state[0][0].c[0].numpy())
        skip = min(200, (end - begin) // 8)
        units[number % 2].append(np.array(rows)[skip:])
        values[number % 2].append(label[begin:end][skip:])
    x, y = [np.concatenate(each) for each in units], [np.concatenate(each) for each in values]
    slope, offset = np.polyfit(x[0][:, 6], y[0], 1)
    errors = ((y[1] - slope * x[1][:, 6] - offset) ** 2).sum() / ((y[1] - y[1].mean()) ** 2).sum()
    row = 10 + 6  # `layer 1 / c` stands after `layer 1 / h`
    assert report.scores[row, 0] == pytest.approx(1 - errors, abs=1e-4)
    assert report.tokens == (len(y[0]), len(y[1]))


def reviews(count: int, seed: int) -> list[tuple[str, str]]:
    draw = random.Random(seed)
    pairs = []
    for number in range(count):
        words = [draw.choice(("a", "film", "the", "end", "very")) for _ in range(draw.randint(2, 6))]
        words.insert(draw.randint(0, len(words)), draw.choice(("dull", "cold") if number % 3 else ("fine", "warm")))
        pairs.append((" ".join(words), "bad" if number % 3 else "good"))
    return pairs


@pytest.mark.parametrize("cell", ["gru", LeakyCell])
def test_scores_of_a_classifier_equal_those_of_its_traces(cell):
    pairs = reviews(80, 1)
    model = Classifier(cell=cell, bidirectional=True, ngrams=False, **SMALL).fit(pairs, baselines=False)
    report = find_concept(model, pairs, "line-position", ablate=False, untrained=False)
    assert report.arrays == {"layer 1 forward / h": 10, "layer 1 backward / h": 10}
    traces = [model.trace(text) for text, _ in pairs]
    for row, name in ((3, "layer 1 forward / h"), (14, "layer 1 backward / h")):
        x = [np.concatenate([trace.array(name)[:, row % 10] for trace in traces[part::2]]) for part in (0, 1)]
        y = [np.concatenate([np.arange(len(trace.tokens)) + 1.0 for trace in traces[part::2]]) for part in (0, 1)]
        slope, offset = np.polyfit(x[0], y[0], 1)
        errors = ((y[1] - slope * x[1] - offset) ** 2).sum() / ((y[1] - y[1].mean()) ** 2).sum()
        assert report.scores[row, 0] == pytest.approx(1 - errors, abs=1e-4)
        assert report.controls["position"] == 1


def test_labels_of_texts_stand_at_their_last_tokens():
    pairs = reviews(80, 1)
    model = Classifier(cell="gru", bidirectional=False, ngrams=False, **SMALL).fit(pairs, baselines=False)
    report = find_concept(model, pairs, concepts.column("label"), random_units=3)
    values = [model.trace(text).array("layer 1 / h")[-1, 3] for text, _ in pairs]
    marks = [report.best.target.endswith(label) for _, label in pairs]
    expected = area(values[1::2], marks[1::2])
    rises = area(values[::2], marks[::2]) >= 0.5
    assert report.scores[3, 0] == pytest.approx(expected if rises else 1 - expected, abs=0.01)
    assert report.tokens == (40, 40)
    assert report.ablation.categories == ("all", "bad", "good")
    assert report.ablation.what == "label"
    losses = [-np.log(raw(model, text)[label]) for text, label in pairs[1::2]]
    assert report.ablation.loss[0] == pytest.approx(np.mean(losses), abs=1e-5)


def raw(model: Classifier, text: str) -> dict[str, float]:
    """Probabilities of the network alone, without calibration."""
    encoded = model.fitted.input.encode([text], ["text"])
    with torch.no_grad():
        shares = model.model(encoded.batch(np.array([0]))).logits.softmax(-1)[0].tolist()
    return dict(zip(model.classes_, shares, strict=True))


def area(values: list[float], marks: list[bool]) -> float:
    ones = np.array([value for value, mark in zip(values, marks, strict=True) if mark])[:, None]
    zeros = np.array([value for value, mark in zip(values, marks, strict=True) if not mark])[None, :]
    return float(((ones > zeros) + 0.5 * (ones == zeros)).mean())


@pytest.fixture(scope="module")
def treebank(tmp_path_factory):
    draw, lines = random.Random(5), []
    for _ in range(150):
        for number in range(1, draw.randint(3, 7)):
            word, tag, number_of = draw.choice([("dog", "NOUN", "1"), ("dogs", "NOUN", "2"), ("runs", "VERB", "1"),
                                                ("run", "VERB", "2"), ("fast", "ADV", "0")])  # fmt: skip
            lines.append(f"{number}\t{word}\t{word}\t{tag}\t{number_of}\t_\t0\troot\t_\t_")
        lines.append("")
    path = tmp_path_factory.mktemp("trees") / "tiny.conllu"
    path.write_text("\n".join(lines) + "\n")
    return path


def test_a_column_of_a_tag_file_for_a_tagger(treebank):
    model = Tagger(cell="elman", layers=2, **SMALL).fit(treebank, baselines=False)
    report = find_concept(model, treebank, concepts.column("upos"), random_units=2, ablation_tokens=100)
    assert report.kind == "categorical"
    assert sorted(report.targets) == ["column upos = ADV", "column upos = NOUN", "column upos = VERB"]
    assert list(report.arrays) == [f"layer {n} {side} / h" for n in (1, 2) for side in ("forward", "backward")]
    assert report.scores.shape == (40, 3)
    assert report.controls["token identity"] == pytest.approx(1)
    assert "No better than: token identity" in " ".join(report.sentences())
    assert report.ablation.what == "tag"
    by_number = find_concept(model, treebank, concepts.column("5"), ablate=False, untrained=False)
    assert by_number.kind == "numeric"


def test_a_column_of_a_tag_file_for_a_language_model(treebank):
    model = LanguageModel(units="word", **SMALL).fit(
        [bracket_text(300, 2) + "dog dogs runs run fast\n"], baselines=False
    )
    report = find_concept(model, treebank, concepts.column("upos"), random_units=2, ablation_tokens=100)
    assert len(report.targets) == 3
    assert report.ablation.what == "next unit"
    assert "newline" in report.ablation.categories


def test_a_categorys_expression_and_a_column_group_the_loss(tmp_path):
    path = tmp_path / "table.tsv"
    rows = "".join(f"{text}\t{label}\t{len(text) % 2}\n" for text, label in reviews(80, 3))
    path.write_text("text\tlabel\tparity\n" + rows)
    model = Classifier(ngrams=False, **SMALL).fit(path, baselines=False)
    options = {"untrained": False, "random_units": 2, "ablation_tokens": 400}
    report = find_concept(model, path, concepts.column("label"), by="parity", **options)
    assert sorted(report.ablation.categories) == ["all", "parity 0", "parity 1"]
    report = find_concept(model, path, concepts.column("label"), categories={"nice": "good"}, **options)
    assert sorted(report.ablation.categories) == ["all", "bad", "nice"]
    together = find_concept(model, path, concepts.column("label"), together=3, **options)
    assert len(together.ablation.units) == 3
    assert all(len(set(draw) | set(together.ablation.units)) > 3 for draw in together.ablation.random_units)


def test_wrong_arguments_are_refused(planted, text):
    for options, message in [
        ({"labelling": "depht"}, "did you mean 'depth'"),
        ({"labelling": 3}, "is no labelling"),
        ({"alpha": 2.0}, "expected a number between 0 and 1"),
        ({"together": 0}, "together = 0"),
        ({"categories": {"x": "("}}, "no regular expression"),
        ({"by": "label"}, "no column 'label'"),
    ]:
        with pytest.raises((UsageError, DataError), match=message):
            find_concept(planted, [text], **{"labelling": "depth", "untrained": False, **options})
    with pytest.raises(DataError, match="too few for a concept"):
        find_concept(planted, ["a(b)c"], "depth")


def test_a_network_without_recurrent_layers_is_refused():
    pairs = reviews(40, 4)
    model = Classifier(network="bag", ngrams=False, embedding=4, epochs=1, plan=False).fit(pairs, baselines=False)
    with pytest.raises(UsageError, match="no recurrent layers"):
        find_concept(model, pairs, concepts.column("label"))


def test_names_of_units_are_stored_traced_and_removed(planted, tmp_path):
    folder = tmp_path / "model"
    planted.save(folder)
    model = unspool.load(folder)
    assert model.unit_names == ()
    assert not (folder / "units.json").exists()
    model.name_unit("layer 1 / c", 6, "bracket depth")
    again = unspool.load(folder)
    assert again.unit_names == (UnitName("layer 1 / c", 6, "bracket depth"),)
    trace = again.trace("a(b(c)")
    assert np.array_equal(trace.array("named units / bracket depth")[:, 0], trace.array("layer 1 / c")[:, 6])
    again.save(folder)
    other = tmp_path / "copy"
    again.save(other)
    assert unspool.load(other).unit_names == again.unit_names
    again.remove_unit_name("bracket depth")
    assert unspool.load(other).unit_names == ()
    assert unspool.load(folder).unit_names == model.unit_names
    assert "named units / bracket depth" not in again.trace("a(b").arrays


@pytest.mark.parametrize("content", ["[", '{"units": [{"array": "x", "unit": 0, "name": "y"}]}', '{"units": 3}'])
def test_a_damaged_list_of_names_is_refused(planted, tmp_path, content):
    planted.save(tmp_path / "model")
    (tmp_path / "model" / "units.json").write_text(content)
    with pytest.raises(ModelFolderError, match="units"):
        unspool.load(tmp_path / "model")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("layer 2 / c", 0, "x"), "no array of units 'layer 2 / c'"),
        (("layer 1 / c", 10, "x"), "has 10 units, so there is no unit 11"),
        (("layer 1 / c", 0, " "), "is no name"),
        (("layer 1 / c", 0, "a\nb"), "is no name"),
        (("layer 1 / c", 0, "a / b"), "is no name"),
    ],
)
def test_a_wrong_name_is_refused(planted, arguments, message):
    with pytest.raises(UsageError, match=message):
        planted.name_unit(*arguments)
    assert planted.unit_names == ()
    with pytest.raises(UsageError, match="no unit is named 'depth'"):
        planted.remove_unit_name("depth")
