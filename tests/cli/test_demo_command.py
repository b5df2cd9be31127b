import importlib
from importlib.resources import files

import pytest
from command_line import files_in

from unspool import load


@pytest.fixture
def small(monkeypatch):
    module = importlib.import_module("unspool.cli.demo_agreement")
    for name, value in {"_TRAIN": 60, "_VALID": 20, "_TEST": 42}.items():
        monkeypatch.setattr(module, name, value)
    for name, value in {"hidden": 4, "embedding": 4, "epochs": 2}.items():
        monkeypatch.setitem(module._SETTINGS, name, value)


@pytest.fixture
def little(monkeypatch):
    module = importlib.import_module("unspool.cli.demo_pictures")
    for name, value in {"_TRAIN": 40, "_VALID": 4, "_TEST": 6, "_NOVEL": 4, "_SHOWN": 1}.items():
        monkeypatch.setattr(module, name, value)
    for name, value in {"hidden": 8, "embedding": 8, "widths": "8", "epochs": 1}.items():
        monkeypatch.setitem(module._SETTINGS, name, value)


@pytest.fixture
def few(monkeypatch, tmp_path):
    """Few of the demo's questions, one pass over them, and a short training of its commands."""
    demo = importlib.import_module("unspool.cli.demo")
    everyday = importlib.import_module("unspool.samples.everyday")
    pairs = everyday.pairs()[::12]
    whole = files("unspool.samples").joinpath("everyday.jsonl").read_bytes().splitlines(keepends=True)
    path = tmp_path / "samples" / "few.jsonl"
    path.parent.mkdir()
    path.write_bytes(b"".join(whole[::12]))
    monkeypatch.setattr(everyday, "pairs", lambda: pairs)
    monkeypatch.setattr(everyday, "path", lambda: _Opened(path))
    monkeypatch.setattr(demo, "_sample_commands", lambda: _COMMANDS)
    monkeypatch.setitem(demo._SETTINGS, "epochs", 1)
    monkeypatch.setitem(demo._SETTINGS, "sentences", 20)
    monkeypatch.setitem(demo._SETTINGS, "memory.size", 4)
    monkeypatch.setattr("unspool.tasks.command.parser.CommandParser._rules", None)  # its plan would take 480 updates
    return pairs


_COMMANDS = b"""
from datetime import timedelta
from unspool.commands import command

@command("remind me about the eggs in {length}", "set a timer for {length}")
def set_timer(length: timedelta) -> str:
    return f"running: {length}"

@command("add {items} to the shopping list", "could you pop {items} on the shopping list")
def add(items: list[str]) -> str:
    return ", ".join(items)
"""


class _Opened:
    def __init__(self, path):
        self.path = path

    def __enter__(self):
        return self.path

    def __exit__(self, *_):
        return None


def test_the_agreement_demo_keeps_what_it_trained_where_it_is_told_to(shell, tmp_path, small):
    done = shell("demo", "agreement", "--out", tmp_path / "d")
    for part in ("bag", "Elman", "LSTM", "6 (more than in training)", "forget", "cancelling", "unspool train classify"):
        assert part in done.stdout
    assert [line.split()[0] for line in done.stderr.splitlines()[1:]] == ["bag", "Elman", "LSTM"]
    assert load(tmp_path / "d" / "lstm").settings.network.cell == "lstm"
    assert {"train.tsv", "valid.tsv", "test.tsv"} <= files_in(tmp_path / "d")
    shell("evaluate", tmp_path / "d" / "lstm", tmp_path / "d" / "test.tsv")
    for words in (["demo", "agreement"], ["demo"]):
        assert "nothing is overwritten" in shell.refuses(*words, "--out", tmp_path / "d", code=2)


def test_the_pictures_demo_keeps_pictures_and_captioner(shell, tmp_path, little):
    done = shell("demo", "pictures", "--out", tmp_path / "d")
    for part in (
        "On the 6 test pictures",
        "right word by word",
        "attention",
        "where it looked",
        "unspool train caption",
    ):
        assert part in done.stdout
    task = load(tmp_path / "d" / "captioner")
    assert task.settings.network.network == "bilinear"
    assert {"test.tsv", "test.boxes.jsonl", "valid.tsv"} <= files_in(tmp_path / "d")
    shell("evaluate", tmp_path / "d" / "captioner", tmp_path / "d" / "test.tsv")
    assert "nothing is overwritten" in shell.refuses("demo", "pictures", "--out", tmp_path / "d", code=2)


def test_attention_counts_on_the_words_that_name_an_object():
    demo = importlib.import_module("unspool.cli.demo_pictures")
    scenes = importlib.import_module("unspool.samples.scenes")
    captioner = importlib.import_module("unspool.tasks.caption.captioner")
    scene = scenes.generate(1, 4, "test")[0]
    true = scene.captions[0]
    left, top = true.boxes[1][0][:2]
    cells = [[left, top, left + 1, top + 1], [0, 0, 1, 1]]
    first = {1: 0.9, 2: 0.7, 3: 0.6}  # words of the first object, beside the article
    weights = [[first.get(word, 0.2), 1 - first.get(word, 0.2)] for word in range(len(true.words))]
    caption = captioner.Caption("x", true.text, 0.0, [], list(true.words), weights, (1, 2))
    looks = demo._looks(scene, caption, cells)
    assert looks["size"][0] == pytest.approx(0.9)
    assert looks["colour"][0] == pytest.approx(0.7)
    assert looks["shape"][0] == pytest.approx(0.6)
    assert [len(shares) for shares in looks.values()] == [2, 2, 2]
    assert demo._looks(scene, caption._replace(caption="a dog"), cells) is None
    cells[1] = [left - 1, top, left, top + 1]  # beside the box
    assert demo._looks(scene, caption, cells)["size"][0] == pytest.approx(0.9)
    assert demo._looks(scene, caption, cells, 1.0)["size"][0] == pytest.approx(1.0)


@pytest.mark.slow
def test_the_captioner_of_the_demo_names_new_pairs_and_looks_at_them(shell):
    lines = shell("demo", "pictures", "--quiet").stdout.splitlines()
    shares = {line.rpartition("  ")[0].strip(): float(line.split()[-2]) for line in lines if line.endswith(" %")}
    assert shares["captions that are right word by word"] >= 95
    assert shares["the same, all of these words"] >= 60
    assert shares["the same, in the box or one cell beside it"] >= 95


def test_the_demo_trains_an_assistant_asks_it_and_looks_inside(shell, tmp_path, few):
    done = shell("demo", "--out", tmp_path / "d")
    assert f"{len(few)} questions about\nthe kitchen" in done.stdout
    lines = done.stdout.splitlines()
    asked = [line.removeprefix("  > ") for line in lines if line.startswith("  > ")]
    assert asked[-1] == "Sing me a song about the capital of Mongolia"
    assert len(asked) == 6
    task = load(tmp_path / "d" / "assistant")
    assert task.parser.commands.names == ("set_timer", "add")
    for question in asked[:3]:
        reply = task.ask(question)
        place = lines.index(f"  > {question}")
        shown = " ".join(lines[place + 1 : lines.index("", place)]).split()
        assert " ".join(shown) == f"{reply.answer} ({reply.source_line()})"
    assert lines[lines.index(f"  > {asked[3]}") + 1] == "    running: 0:15:00"
    assert any(line.split()[:5] == ["a", "quarter", "of", "an", "hour"] for line in lines)  # one word of the network
    assert all(len(line) <= 80 for line in lines[: lines.index(f"  > {asked[-1]}")] if str(tmp_path) not in line)
    assert "memory" in lines
    assert any(line.split()[1:2] == ["trained"] for line in lines)  # the third question, word by word
    assert f"unspool chat {tmp_path / 'd' / 'assistant'}" in done.stdout
    assert "Chat with the assistant?" not in done.stdout  # nobody is there
    assert "network: memory of" in done.stderr
    shell("evaluate", tmp_path / "d" / "assistant", tmp_path / "d" / "questions.jsonl")
    assert "nothing is overwritten" in shell.refuses("demo", "assistant", "--out", tmp_path / "d", code=2)


@pytest.mark.slow
def test_the_demo_invites_a_person_to_talk(shell, few, monkeypatch):
    demo = importlib.import_module("unspool.cli.demo")
    talked = []
    monkeypatch.setattr("unspool.cli.chat.converse", lambda task, folder, dialogue: talked.append((task.name, folder)))
    monkeypatch.setattr(demo, "_on_a_terminal", lambda: True)
    for said, count in (("n\n", 0), ("y\n", 1)):
        assert "Chat with the assistant?" in shell("demo", "--quiet", stdin=said).stdout
        assert len(talked) == count
    assert talked == [("answer", None)]


@pytest.mark.parametrize("name", [pytest.param("assistant", marks=pytest.mark.slow), "agreement", "pictures"])
def test_demos_leave_nothing_behind_otherwise(shell, tmp_path, small, few, little, monkeypatch, name):
    place = tmp_path / "empty"
    place.mkdir()
    monkeypatch.chdir(place)
    monkeypatch.setattr("tempfile.tempdir", str(place))
    assert shell("demo", name, "--quiet").stderr == ""
    assert files_in(place) == set()


def test_a_demo_that_is_not_there(shell):
    assert "'agreement'" in shell.refuses("demo", "agrement", code=2)
    shown = " ".join(shell("demo", "--help").stdout.split())
    assert "assistant train an assistant on questions, answers and commands" in shown
    assert "agreement train a bag of words" in shown


@pytest.mark.slow
def test_the_lstm_learns_agreement_and_the_bag_can_not(shell):
    rows = [line for line in shell("demo", "agreement", "--quiet").stdout.splitlines() if line.endswith(" %")]
    hard = next(line for line in rows if line.startswith("any, most of the other number"))
    bag, elman, lstm = (int(word) for word in hard.replace("%", " ").split()[-3:])
    assert bag <= 60
    assert bag + 15 <= elman <= lstm
    assert lstm >= 97


@pytest.mark.slow
def test_the_demo_answers_what_it_asks_and_knows_what_it_does_not_know(shell, tmp_path):
    shell("demo", "--quiet", "--out", tmp_path / "d")
    demo = importlib.import_module("unspool.cli.demo")
    task = load(tmp_path / "d" / "assistant")
    assert all(task.ask(question).known for question in demo._QUESTIONS)
    assert not task.ask(demo._UNKNOWN).known
