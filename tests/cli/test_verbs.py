import csv
import json
import math
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from command_line import SMALL, SMALL_WRITER, files_in, write_reviews, write_text

from unspool import Classifier, load
from unspool.errors import Interrupted, for_command_line
from unspool.inspection import read_trace
from unspool.training import Reporter


def test_train_writes_a_model_and_shows_its_scores_beside_the_baselines(shell, tmp_path, models):
    done = shell(
        "train", "classify", models / "train.tsv", "--test", models / "test.tsv", "--out", tmp_path / "m", *SMALL
    )
    names = [line.split("  ")[0] for line in done.stdout.splitlines()[1:]]
    assert names == ["valid", "test", "majority class (test)", "linear n-grams (test)"]
    assert "training: " in done.stderr
    assert f"go on with: unspool predict {tmp_path / 'm'}" in done.stderr
    record = json.loads((tmp_path / "m" / "unspool.json").read_text())
    assert record["complete"]
    accuracy = record["metrics"]["test"]["accuracy"]
    assert done.stdout.splitlines()[2].split()[1] == f"{accuracy:.4g}"
    assert shell("evaluate", tmp_path / "m", models / "test.tsv", "--json", "--quiet").stderr == ""


def test_quiet_says_nothing_but_the_result(shell, tmp_path, models):
    for place in (["--quiet", "train"], ["train", "--quiet"]):
        out = tmp_path / place[0].strip("-")
        done = shell(*place, "classify", models / "train.tsv", "--out", out, *SMALL, "--json")
        assert done.stderr == ""
        assert json.loads(done.stdout)["model"] == str(out)


def test_resume_alone_knows_the_task_the_data_and_the_settings(shell, tmp_path, models):
    shell("train", "classify", models / "train.tsv", "--out", tmp_path / "whole", *SMALL, "--epochs", "3")
    shell("train", "classify", models / "train.tsv", "--out", tmp_path / "parts", *SMALL, "--epochs", "1")
    shell("train", "--resume", tmp_path / "parts", "--epochs", "3", "--quiet")
    whole, parts = (load(tmp_path / name).model.state_dict() for name in ("whole", "parts"))
    assert whole.keys() == parts.keys()
    assert all(np.array_equal(whole[name], parts[name]) for name in whole)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--hidden", "5"], "network.hidden = 5 (was 4)"),
        (["--units", "character"], "vocabulary.units = character (was word)"),
        (["--optimizer", "sgd"], "optimizer = sgd (was adamw)"),
    ],
)
def test_resume_refuses_changed_settings_by_name(shell, models, words, said):
    before = (models / "classifier" / "unspool.json").read_bytes()
    assert said in shell.refuses("train", "--resume", models / "classifier", *words, "--quiet", code=2)
    assert (models / "classifier" / "unspool.json").read_bytes() == before


def test_resume_without_baselines(shell, tmp_path, models):
    shell("train", "classify", models / "train.tsv", "--out", tmp_path / "m", *SMALL, "--no-baselines")
    done = shell("train", "--resume", tmp_path / "m", "--epochs", "2", "--no-baselines", "--json")
    assert json.loads(done.stdout)["baselines"] == {}


def test_resume_allows_what_is_named(shell, tmp_path, models):
    shell("train", "classify", models / "train.tsv", "--out", tmp_path / "m", *SMALL)
    words = ["train", "--resume", tmp_path / "m", "--learning-rate", "0.01", "--epochs", "2"]
    assert "learning_rate = 0.01 (was 0.001)" in shell.refuses(*words, "--quiet", code=2)
    assert "did you mean 'learning_rate'?" in shell.refuses(*words, "--allow", "learning-rat", "--quiet", code=2)
    shell(*words, "--allow", "learning-rate")
    assert json.loads((tmp_path / "m" / "unspool.json").read_text())["settings"]["training"]["learning_rate"] == 0.01


def test_resume_beside_the_data_keeps_the_settings_and_begins_where_nothing_is(shell, tmp_path, models):
    words = ["train", "classify", models / "train.tsv", "--out", tmp_path / "m", "--resume"]
    shell(*words, *SMALL)
    shell(*words, "--epochs", "2")
    record = json.loads((tmp_path / "m" / "unspool.json").read_text())
    assert (record["settings"]["network"]["hidden"], record["training"]["epochs"]) == (4, 2)
    said = shell.refuses(*words, "--valid", models / "test.tsv", "--quiet")
    assert "resume needs the same files" in said


def test_resume_leaves_a_folder_alone_that_is_no_model(shell, tmp_path, models):
    (tmp_path / "letters").mkdir()
    (tmp_path / "letters" / "a.txt").write_text("dear")
    said = shell.refuses(
        "train", "classify", models / "train.tsv", "--out", tmp_path / "letters", "--resume", "--quiet"
    )
    assert "is no model folder" in said
    assert files_in(tmp_path / "letters") == {"a.txt"}


class PowerCut(Reporter):
    """Stops a training at its first validation."""

    def validated(self, progress, metrics, improved):
        raise RuntimeError("power cut")


def test_overwrite_trains_beside_the_model_and_takes_its_place(shell, tmp_path, models):
    words = ["train", "classify", models / "train.tsv", "--out", tmp_path / "m", *SMALL]
    shell(*words)
    assert "replace the model in it with --overwrite" in shell.refuses(*words, "--quiet", code=2)
    shell(*words, "--epochs", "2", "--overwrite")
    assert json.loads((tmp_path / "m" / "unspool.json").read_text())["training"]["epochs"] == 2
    settings = {"hidden": 4, "embedding": 3, "epochs": 3, "seed": 1, "device": "cpu"}
    with pytest.raises(RuntimeError, match="power cut"):
        Classifier(**settings).fit(models / "train.tsv", out=tmp_path / "m", overwrite=True, reporter=PowerCut())
    assert json.loads((tmp_path / "m" / "unspool.json").read_text())["training"]["epochs"] == 2
    done = shell("train", "--resume", tmp_path / "m", "--overwrite")
    assert f"saved in {tmp_path / 'm'}; go on with" in done.stderr
    assert json.loads((tmp_path / "m" / "unspool.json").read_text())["training"]["epochs"] == 3
    assert {path.name for path in tmp_path.iterdir()} == {"m"}
    (tmp_path / "m" / "thesis.txt").write_text("years of work")
    assert "m also holds thesis.txt" in shell.refuses(*words, "--overwrite", "--quiet", code=2)


def test_an_interrupted_training_names_overwrite_where_it_is_to_replace_a_model(tmp_path, models, monkeypatch):
    class Stop(Reporter):
        def validated(self, progress, metrics, improved):
            signal.raise_signal(signal.SIGINT)

    settings = {"hidden": 4, "embedding": 3, "epochs": 3}
    Classifier(**{**settings, "epochs": 1}).fit(models / "train.tsv", out=tmp_path / "m", reporter=Reporter())
    with pytest.raises(Interrupted) as caught:
        Classifier(**settings).fit(models / "train.tsv", out=tmp_path / "m", overwrite=True, reporter=Stop())
    assert f"fit(..., out='{tmp_path / 'm'}', resume=True, overwrite=True)" in str(caught.value)
    assert f"unspool train --resume {tmp_path / 'm'} --overwrite" in for_command_line(caught.value.message)


def test_resume_of_a_training_on_data_in_memory_names_python(shell, tmp_path):
    model = Classifier(hidden=4, embedding=3, epochs=1)
    model.fit(["fine", "dull"] * 8, ["good", "bad"] * 8, out=tmp_path / "m", reporter=Reporter())
    said = shell.refuses("train", "--resume", tmp_path / "m", "--quiet", code=2)
    assert "was trained on data in memory (train), which no folder holds; resume in Python" in said
    told = shell("info", tmp_path / "m").stdout
    assert "train      14 examples from memory\n" in told
    assert "valid      2 examples, held out of the training data\n" in told


def test_a_text_that_is_no_file_is_never_trained_on(shell, tmp_path):
    words = ["train", "write", "a text in words", "--out", tmp_path / "m", "--quiet"]
    assert shell.refuses(*words) == "a text in words: no such file"


def test_evaluate_says_what_the_task_says(shell, models):
    scores = json.loads(shell("evaluate", models / "classifier", models / "test.tsv", "--json").stdout)
    assert scores == load(models / "classifier").evaluate(models / "test.tsv")
    shown = shell("evaluate", models / "tagger", models / "train.conll").stdout
    assert f"{load(models / 'tagger').evaluate(models / 'train.conll')['accuracy']:.4g}" in shown.split()


def test_evaluate_tells_what_it_left_out(shell, models, tmp_path):
    bad = tmp_path / "bad.tsv"
    bad.write_text((models / "test.tsv").read_text() + "\tgood\n")
    said = shell.refuses("evaluate", models / "classifier", bad)
    assert "is empty" in said
    assert shell.refuses("evaluate", models / "classifier", bad, "--no-skip-bad") == said
    done = shell("evaluate", models / "classifier", bad, "--skip-bad", "--json")
    assert done.stderr == "left out 1 bad example (--skip-bad)\n"
    scores = json.loads(done.stdout)
    assert scores.pop("left_out") == 1
    assert scores == load(models / "classifier").evaluate(models / "test.tsv")


def test_evaluate_reads_running_text_as_what_it_is(shell, models):
    shell("evaluate", models / "writer", models / "train.txt")
    said = shell.refuses("evaluate", models / "writer", "-", stdin="a film\n", code=2)
    assert "save it to a file" in said


def test_predict_answers_line_by_line_and_keeps_blank_lines(shell, models):
    task, texts = load(models / "classifier"), ["a dull film", "very fine", "unheard words"]
    text = f"{texts[0]}\n\n{texts[1]}\n  \n{texts[2]}"
    for size in ("1", "2", "100"):
        lines = shell("predict", models / "classifier", "-", "--batch-size", size, stdin=text).stdout.split("\n")
        assert lines == [_told(task, texts[0]), "", _told(task, texts[1]), "", _told(task, texts[2]), ""]
    records = [
        json.loads(line) for line in shell("predict", models / "classifier", "--json", stdin=text).stdout.splitlines()
    ]
    assert records[1] is None
    assert records[4]["text"] == "unheard words"
    assert records[0]["probabilities"] == pytest.approx(task.predict([texts[0]])[0].probabilities, rel=1e-5)


def _told(task, text):
    said = task.predict([text])[0]
    return f"{said.label}\t{said.probabilities[said.label]:.3f}\t{text}"


def test_predict_reads_files_and_tags_in_columns(shell, models, tmp_path):
    (tmp_path / "in.txt").write_text("a dull film\nvery fine\n")
    said = load(models / "tagger").predict(["a dull film", "very fine"])
    columns = "\n".join("".join(f"{w}\t{t}\n" for w, t in zip(each.words, each.tags, strict=True)) for each in said)
    assert shell("predict", models / "tagger", tmp_path / "in.txt").stdout == columns + "\n"
    record = json.loads(shell("predict", models / "tagger", tmp_path / "in.txt", "--json").stdout.splitlines()[1])
    assert (record["words"], record["tags"]) == (["very", "fine"], said[1].tags)


def test_predict_rates_text_with_a_language_model(shell, models):
    perplexity = load(models / "writer").predict(["the end"])[0].perplexity
    assert shell("predict", models / "writer", stdin="the end\n").stdout == f"{perplexity:.4g}\tthe end\n"


def test_predict_names_the_line_that_can_not_be_used(shell, models, tmp_path):
    (tmp_path / "in.txt").write_bytes(b"fine film\n\nbad \xff byte\n")
    outcome = shell("predict", models / "classifier", tmp_path / "in.txt", "--batch-size", "1", code=1)
    assert f"unspool: {tmp_path / 'in.txt'}:3: byte 0xFF" in outcome.stderr
    assert len(outcome.stdout.splitlines()) == 2


def test_generate_repeats_itself_with_a_seed(shell, models):
    words = [
        "generate",
        models / "writer",
        "--prompt",
        "the ",
        "--length",
        "30",
        "--temperature",
        "0.8",
        "--top-k",
        "5",
    ]
    first, again, other = (shell(*words, "--seed", seed).stdout for seed in (3, 3, 4))
    assert first == again != other
    assert first == load(models / "writer").generate("the ", length=30, temperature=0.8, top_k=5, seed=3) + "\n"
    record = json.loads(shell(*words, "--seed", "3", "--json").stdout)
    assert record["prompt"] + record["text"] + "\n" == first


def test_generate_is_for_language_models(shell, models):
    said = shell.refuses("generate", models / "classifier", code=2)
    assert "generate takes a language model. Try: unspool predict" in said


@pytest.mark.parametrize("flag", [("--temperature", "-1"), ("--top-k", "0"), ("--top-p", "2"), ("--length", "-1")])
def test_generate_refuses_before_it_writes(shell, models, flag):
    said = shell.refuses("generate", models / "writer", "--prompt", "the ", *flag, code=2)
    assert f"{flag[0].strip('-').replace('-', '_')} = " in said


def test_inspect_shows_the_gates_and_writes_files(shell, models, tmp_path):
    shown = shell(
        *("inspect", models / "classifier", "a very dull film", "--array", "layer 1 forward / forget"),
        *("--out", tmp_path / "t.npz", "--out", tmp_path / "t.html", "--out", tmp_path / "t.csv"),
    )
    assert read_trace(tmp_path / "t.npz") == load(models / "classifier").trace("a very dull film")
    assert "forget" in shown.stdout
    assert "dull" in (tmp_path / "t.html").read_text()
    with (tmp_path / "t.csv").open() as file:
        tokens = {row["token"] for row in csv.DictReader(file)}
    assert tokens == {"a", "very", "dull", "film"}
    assert "exists already" in shell.refuses("inspect", models / "tagger", "x", "--out", tmp_path / "t.csv", code=2)
    shell("inspect", models / "tagger", "-", "--out", tmp_path / "t.csv", "--overwrite", stdin="one word\n")
    assert ".csv" in shell.refuses("inspect", models / "tagger", "x", "--out", tmp_path / "t.png", code=2)


def test_inspect_names_the_nearest_array(shell, models):
    outcome = shell("inspect", models / "classifier", "a", "--array", "layer 1 forward / forgot", code=2)
    assert "did you mean 'layer 1 forward / forget'?" in outcome.stderr


def test_info_gives_the_recipe_that_repeats_a_training_with_a_time_limit(shell, tmp_path):
    data = write_text(tmp_path / "novel.txt", count=300)
    shell(
        "train",
        "write",
        data,
        "--out",
        tmp_path / "a",
        "--minutes",
        0.02,
        "--epochs",
        30_000,
        "--hidden",
        9,
        "--clip",
        "none",
    )
    recipe = tmp_path / "again.toml"
    recipe.write_text(shell("info", tmp_path / "a", "--recipe").stdout)
    assert recipe.read_text().startswith(f"# unspool train write {data} --recipe RECIPE --out FOLDER\n")
    shell("train", "write", data, "--out", tmp_path / "b", "--recipe", recipe)
    one, other = ((tmp_path / name / "model.safetensors").read_bytes() for name in "ab")
    assert one == other
    records = [json.loads((tmp_path / name / "unspool.json").read_text()) for name in "ab"]
    assert records[0]["training"]["updates"] == records[1]["training"]["updates"] < 30_000 * 8
    assert records[0]["settings"]["training"]["clip"] is None is records[1]["settings"]["training"]["clip"]
    assert "pass one of them" in shell.refuses("info", tmp_path / "a", "--recipe", "--json", code=2)


def test_info_tells_passed_settings_from_planned_ones(shell, tmp_path):
    data = write_reviews(tmp_path / "reviews.tsv")
    shell("train", "classify", data, "--out", tmp_path / "m", "--epochs", 1, "--hidden", 4, "--no-baselines")
    lines = shell("info", tmp_path / "m").stdout.splitlines()
    (settings,), (planned,) = (
        [line for line in lines if line.startswith(f"{part} ")] for part in ("settings", "planned")
    )
    assert settings == "settings   network.hidden = 4, network.network = recurrent, training.epochs = 1"
    assert "training.learning_rate = 0.004, " in planned
    assert "network.hidden" not in planned


def test_info_says_what_a_folder_holds_without_torch(shell, models):
    shown = shell("info", models / "classifier").stdout
    for part in ("a model of the task 'classify'", "network.hidden = 4", "36 examples", "held out", "majority class"):
        assert part in shown
    assert "training.optimizer" not in shown
    record = json.loads(shell("info", models / "classifier", "--json").stdout)
    assert record["changed_settings"]["network.embedding"] == 3
    program = f"import sys; from unspool.cli import unspool\ntry: unspool.main(['info', {str(models / 'writer')!r}])\n"
    program += "except SystemExit: print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "False"


@pytest.mark.parametrize(
    ("task", "data", "small", "verb"),
    [("classify", "train.tsv", SMALL, "predict"), ("write", "train.txt", SMALL_WRITER, "generate")],
)
def test_train_names_the_verb_that_comes_next(shell, models, tmp_path, task, data, small, verb):
    folder = tmp_path / "m"
    done = shell("train", task, models / data, "--out", folder, *small, "--no-baselines")
    assert done.stderr.endswith(f"saved in {folder}; go on with: unspool {verb} {folder}\n")


def test_a_cell_of_your_own(shell, tmp_path, models, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my_cell.py").write_text(OWN_CELL)
    words = ["train", "classify", models / "train.tsv", "--out", "m", *SMALL]
    trained = shell(*words, "--cell", "my_cell.py:Leaky")
    assert trained.stderr.endswith("saved in m; go on with: unspool predict m\n")
    (tmp_path / "my_cell.py").rename(tmp_path / "away.py")
    without = shell("predict", "m", stdin="fine\n").stdout
    (tmp_path / "away.py").rename(tmp_path / "my_cell.py")
    assert without == shell("predict", "m", "--cell", "my_cell.py:Leaky", stdin="fine\n").stdout
    assert "resuming executes its code" in shell.refuses("train", "--resume", "m", "--quiet")
    shell("predict", "m", "--cell", "my_cell.py:Leaky", stdin="fine\n")
    shell("train", "--resume", "m", "--cell", "my_cell.py:Leaky", "--epochs", "2")
    table = shell("compare", "write", models / "train.txt", *SMALL_WRITER, "--networks", "my_cell.py:Leaky,gru")
    assert [line.split()[0] for line in table.stdout.splitlines()] == ["on", "my_cell.py:Leaky", "gru", "Kneser-Ney"]


def test_options_of_a_cell_stand_in_brackets(shell, tmp_path, models, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "my_cell.py").write_text(OWN_CELL)
    words = ["train", "classify", models / "train.tsv", "--out", "m", *SMALL]
    trained = shell(*words, "--cell", "my_cell.py:Leaky( share=0.25,twice=true )")
    assert "my_cell.py:Leaky(share=0.25, twice=True), 1 layer" in trained.stderr
    named = shell("predict", "m", "--cell", "my_cell.py:Leaky", stdin="fine\n").stdout
    assert named == shell("predict", "m", stdin="fine\n").stdout  # the stored step holds the options
    (Path("m") / "cell.json").unlink()
    refusal = shell.refuses("predict", "m", stdin="x\n")
    assert "holds no traced step of it" in refusal
    assert refusal.endswith("load it with --cell my_cell.py:Leaky")
    shell("train", "--resume", "m", "--cell", "my_cell.py:Leaky", "--epochs", "2")
    other = shell.refuses("train", "--resume", "m", "--cell", "my_cell.py:Leaky(share=0)", "--quiet", code=2)
    assert "was trained with the cell my_cell.py:Leaky(share=0.25, twice=True), and --cell" in other
    networks = "my_cell.py:Leaky(share=0.25,twice=true),my_cell.py:Leaky(share=-1),my_cell.py:Leaky(share=-1.0)"
    table = shell("compare", "classify", models / "train.tsv", *SMALL, "--networks", networks, "--json")
    assert [row["network"] for row in json.loads(table.stdout)["networks"]] == [
        "my_cell.py:Leaky(share=0.25, twice=True)",
        "my_cell.py:Leaky(share=-1)",
        "my_cell.py:Leaky(share=-1.0)",
    ]
    for bad, message in (("shares=1", "did you mean 'share'"), ("twice=0", "twice = 0: expected true or false")):
        words = ["train", "classify", models / "none.tsv", "--out", "n", "--cell", f"my_cell.py:Leaky({bad})"]
        assert message in shell.refuses(*words, "--quiet", code=2)


def test_bench_times_a_cell_of_your_own_on_every_path_that_takes_it(shell, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("unspool.cli.bench._SECONDS", 0.01)
    (tmp_path / "my_cell.py").write_text(OWN_CELL)
    words = ["bench", "cell", "my_cell.py:Leaky", "--time", "6", "--batch", "2", "--hidden", "5"]
    shown = shell(*words, "--explain")
    assert [line.split("  ")[0] for line in shown.stdout.splitlines()[1:4]] == [
        "unspool reference",
        "unspool cpu",
        "torch.nn.GRU, another cell",
    ]
    assert "Leaky (5 in, 5 out, 6 steps, batch 2, float32 on cpu) runs on the cpu path" in shown.stderr
    assert "tanh(" in shown.stderr
    seconds = json.loads(shell(*words, "--json").stdout)["seconds"]
    assert all(seconds[name][mode] > 0 for name in seconds for mode in ("training", "inference"))
    assert "torch.nn.LSTM" in json.loads(shell("bench", "cell", "lstm", *words[3:], "--json").stdout)["seconds"]
    assert "there is no cell 'lstn'" in shell.refuses("bench", "cell", "lstn", "--quiet", code=2)


OWN_CELL = """
from typing import NamedTuple
import torch
from torch import Tensor
from unspool import Cell

class State(NamedTuple):
    h: Tensor

class Leaky(Cell):
    def __init__(self, input_size, hidden_size, share=0.5, *, twice=False):
        super().__init__(input_size=input_size, hidden_size=hidden_size)
        self.share, self.twice = share, twice
        self.weight = self.parameter(hidden_size, input_size)
        self.weight_hh = self.parameter(hidden_size, hidden_size)

    def initial_state(self, batch_size):
        return State(self.weight.new_zeros(batch_size, self.hidden_size))

    def step(self, x, state):
        h = self.share * state.h + 0.5 * torch.tanh(x @ self.weight.T + state.h @ self.weight_hh.T)
        return h, State(h)
"""


@pytest.mark.parametrize("verb", ["train", "compare", "tune"])
def test_training_needs_a_file(shell, tmp_path, verb):
    out = () if verb == "compare" else ("--out", tmp_path / "m")
    assert "save it to a file" in shell.refuses(verb, "classify", "-", *out, stdin="a\tb\n", code=2)
    assert files_in(tmp_path) == set()


def test_evaluate_reads_standard_input(shell, models):
    text = (models / "test.tsv").read_text()
    scores = json.loads(shell("evaluate", models / "classifier", "-", "--format", "tsv", "--json", stdin=text).stdout)
    assert scores == load(models / "classifier").evaluate(models / "test.tsv")


STRANGE_LABELS = "text\tlabel\na warm film\tx\na cold film\ty\n"
PARTLY_STRANGE = "text\tlabel\na warm film\tgood\na cold film\ty\na dull story\tbad\n"


def test_labels_that_share_nothing_with_the_model_s_are_refused(shell, models, tmp_path):
    data = tmp_path / "strange.tsv"
    data.write_text(STRANGE_LABELS)
    said = shell.refuses("evaluate", models / "classifier", data)
    assert "the data have 'x', 'y', the model has 'bad', 'good'" in said
    tags = tmp_path / "strange.conll"
    tags.write_text("warm\tJJ\nfilm\tNN\n")
    assert "the data have 'JJ', 'NN', the model has" in shell.refuses("evaluate", models / "tagger", tags)
    options = ("--test", data, "--out", tmp_path / "new")
    assert "the data have 'x', 'y'" in shell.refuses("train", "classify", models / "train.tsv", *options)
    assert not (tmp_path / "new").exists()


def test_some_strange_labels_are_counted_and_no_score_is_nan(shell, models, tmp_path):
    data = tmp_path / "partly.tsv"
    data.write_text(PARTLY_STRANGE)
    outcome = shell("evaluate", models / "classifier", data, "--json")
    assert "labels never seen in training count as wrong: 1 in these data ('y')" in outcome.stderr
    assert None not in json.loads(outcome.stdout).values()
    tags = tmp_path / "partly.conll"
    tags.write_text("warm\tADJ\nfilm\tNN\n")
    outcome = shell("evaluate", models / "tagger", tags)
    assert "tags never seen in training count as wrong: 1 in these data ('NN')" in outcome.stderr
    assert "nan" not in outcome.stdout


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("--dropout", "0.9999999"), "network.dropout = '0.9999999': Expected float <= 0.99"),
        (("--threads", "1000000000"), "training.threads = '1000000000': Expected int <= 1024"),
        (("--seed", "9" * 20), f"training.seed = '{'9' * 20}': Expected int <= 9223372036854775807"),
        (("--minutes", "inf"), "minutes = inf: expected a finite number"),
        (("--learning-rate", "nan"), "training.learning_rate = 'nan': Expected float > 0.0"),
        (("--recipe", "."), ".: a folder; expected a recipe, a file in TOML"),
    ],
    ids=lambda value: value if isinstance(value, str) else value[0],
)
def test_settings_beyond_all_sense_are_refused(shell, models, tmp_path, flags, message):
    out = tmp_path / "new"
    assert message in shell.refuses("train", "classify", models / "train.tsv", "--out", out, *flags, code=2)
    assert not out.exists()


@pytest.mark.parametrize("flags", [("--temperature", "nan"), ("--temperature", "inf"), ("--top-p", "nan")])
def test_chances_that_are_no_numbers_are_refused(shell, models, flags):
    name, value = flags[0].removeprefix("--").replace("-", "_"), flags[1]
    assert f"{name} = {value}: expected" in shell.refuses("generate", models / "writer", *flags, code=2)


def test_a_character_model_is_scored_in_bits_per_character_too(shell, models):
    scores = json.loads(shell("evaluate", models / "writer", models / "train.txt", "--json").stdout)
    assert scores["bits_per_character"] == pytest.approx(scores["nats"] / math.log(2), rel=1e-5)
    baselines = json.loads(shell("info", models / "writer", "--json").stdout)["baselines"]
    assert all(0 < each["bits_per_character"] < 10 for each in baselines.values())
