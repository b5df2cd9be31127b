"""The assistant on the command line: training, talking, adding, and what a person gets who types something odd."""

from __future__ import annotations

import builtins
import json
import shutil

import pytest
from click.testing import CliRunner
from command_line import SMALL, Shell, files_in

from unspool import load
from unspool.cli import unspool
from unspool.cli.chat import converse
from unspool.tasks.dialogue import Dialogue

TINY = (*SMALL, "--memory.size", "4", "--vocabulary.size", "270", "--decoding.max-length", "8")
TABLE = """\
Question\tAnswer
How do I bake bread?\tMix flour and water.
the way to bake bread\tMix flour and water.
How do I bake bread?\tBuy it at the corner.
Where do pelicans nest?\tOn quiet islands.
How do I quit vim?\tType :q! and press enter.
Who painted guernica?\tPicasso.
"""
PARAPHRASED = [
    {"question": "How do I feed ducks?", "paraphrases": ["feeding ducks", "duck food"], "answers": ["Oats."]},
    {"question": "How do I catch trout?", "paraphrases": ["catching trout", "trout fishing"], "answers": ["Be still."]},
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Questions, and two assistants trained on them: with a generator, and without."""
    place = tmp_path_factory.mktemp("answers")
    (place / "pairs.tsv").write_text(TABLE)
    (place / "more.jsonl").write_text("".join(json.dumps(each) + "\n" for each in PARAPHRASED))
    data = (place / "pairs.tsv", place / "more.jsonl")
    done = Shell()("train", "answer", *data, "--out", place / "both", *TINY, "--generator")
    (place / "said.txt").write_text(done.stdout + done.stderr)
    Shell()("train", "answer", *data, "--out", place / "memory", *TINY, "--quiet")
    return place


@pytest.fixture
def copy(folder, tmp_path):
    def copy(name):
        return shutil.copytree(folder / name, tmp_path / name)

    return copy


def test_train_says_what_it_does_and_what_comes_next(folder):
    said = (folder / "said.txt").read_text()
    assert "train: 7 questions, 10 wordings, 8 answers\n" in said
    assert "valid: 1 question, 1 wording, 1 answer (held out of the training data)" in said
    assert "network: memory of 7 questions in " in said
    assert "generator: bilinear, bidirectional lstm, 1 layer of 4" in said
    assert "tf–idf" in said
    assert f"go on with: unspool chat {folder / 'both'}" in said
    record = json.loads((folder / "both" / "unspool.json").read_text())
    assert (record["task"], record["complete"]) == ("answer", True)
    assert list(record["metrics"]["valid"]) == ["first", "correct", "answered", "perplexity"]


def test_chat_answers_a_line_at_a_time_from_a_file_or_standard_input(shell, folder, tmp_path):
    text = "Where do pelicans nest?\n\nwho painted GUERNICA\nzebra costume\n"
    (tmp_path / "asked.txt").write_text(text)
    expected = "On quiet islands.\n\nPicasso.\nI don't know.\n"
    for name in ("both", "memory"):
        assert shell("chat", folder / name, stdin=text).stdout == expected
        assert shell("chat", folder / name, "-", stdin=text).stdout == expected
        done = shell("chat", folder / name, tmp_path / "asked.txt")
        assert (done.stdout, done.stderr) == (expected, "")
    assert "don't know" not in shell("chat", folder / "memory", "--threshold", "0", stdin=text).stdout
    assert "there is nothing to read" in shell.refuses("chat", folder / "memory", stdin="")


def test_chat_writes_json_with_its_sources(shell, folder):
    done = shell("chat", folder / "both", "--json", "--threshold", "0.25", stdin="How do I bake bread?\n\nzebra\n")
    first, blank, last = (json.loads(line) for line in done.stdout.splitlines())
    assert (first["known"], first["confidence"], first["threshold"], blank) == (True, 1.0, 0.25, None)
    assert first["answers"] == ["Mix flour and water.", "Buy it at the corner."]
    assert first["answer"] in first["answers"]
    assert first["sources"][0]["question"] == "How do I bake bread?"
    assert (last["question"], last["answer"], last["known"]) == ("zebra", "I don't know.", False)


@pytest.mark.parametrize("value", ["2", "-0.1", "high"])
def test_a_threshold_is_a_share(shell, folder, value):
    assert "--threshold" in shell.refuses("chat", folder / "memory", "--threshold", value, code=2, stdin="a\n")


def test_a_megabyte_of_question(shell, folder):
    done = shell("chat", folder / "both", stdin="x" * 1_000_000 + "\n" + "how do " * 150_000 + "\n?\n")
    assert len(done.stdout.splitlines()) == 3


def test_only_an_assistant_chats_and_takes_pairs(shell, models, folder):
    said = shell.refuses("chat", models / "classifier", code=2, stdin="a\n")
    assert said == (
        f"{models / 'classifier'} is a model of the task 'classify'; chat takes an assistant or a command parser. "
        f"Try: unspool predict {models / 'classifier'}"
    )
    said = shell.refuses("add", models / "tagger", folder / "pairs.tsv", code=2)
    assert "is a model of the task 'tag'; add takes an assistant" in said
    assert "does not exist" in shell.refuses("chat", folder / "none", stdin="a\n")


# ---- a conversation ------------------------------------------------------------------------------------------------


def talk(monkeypatch, capsys, task, folder, *typed, **options):
    """What is said on stdout and stderr after each thing typed; the last one is the end of the input."""
    lines, heard = iter(typed), []

    def read(prompt):
        assert prompt == "> "
        heard.append(capsys.readouterr())
        try:
            return next(lines)
        except StopIteration:
            raise EOFError from None

    monkeypatch.setattr(builtins, "input", read)
    converse(task, folder, dialogue=Dialogue(task, **options))
    heard.append(capsys.readouterr())
    return [(each.out, each.err) for each in heard]


def test_a_conversation(monkeypatch, capsys, copy):
    place = copy("both")
    task = load(place)
    typed = (
        *("/why", "/write", "How do I quit vim?", "/why", "/look", "/write", "  ", "zebra costume"),
        *("/add Who is Ada? => A countess.", "who is ada", "/sure 1", "vim quitting", "/sure 0", "vim quitting"),
    )
    heard = talk(monkeypatch, capsys, task, str(place), *typed)
    assert "7 questions in 11 wordings; answers from a confidence of" in heard[0][1]
    assert "/help lists commands, ctrl-D ends." in heard[0][1]
    told = dict(zip(range(len(typed)), heard[1:], strict=False))
    assert told[0] == told[1] == ("", "ask something first\n")
    assert told[2] == ("Type :q! and press enter.\n", "  100% sure, from: How do I quit vim?\n")
    assert told[3][0].splitlines()[0].endswith("%  How do I quit vim?  =>  Type :q! and press enter.")
    assert len(told[3][0].splitlines()) == 5
    assert "attention" in told[4][0]
    assert told[5][0] == task.write("How do I quit vim?") + "\n"
    assert told[6] == ("", "")
    assert told[7][0] == "I don't know.\n"
    assert "the nearest it knows: " in told[7][1]
    assert told[8] == ("", "learned\n")
    assert told[9][0] == "A countess.\n"
    assert told[10] == ("", "answers from a confidence of 100%\n")
    assert told[11][0] == "I don't know.\n"
    assert told[12] == ("", "answers from a confidence of 0%\n")
    assert told[13][0] == "Type :q! and press enter.\n"
    assert heard[-1] == ("", "\n")
    assert load(place).ask("Who is Ada?").answer == "A countess."


def test_what_is_typed_wrongly_does_not_end_a_conversation(monkeypatch, capsys, folder):
    task = load(folder / "memory")
    typed = {
        "/wy": "there is no command /wy (did you mean '/why'?); /help lists the commands\n",
        "/": "there is no command /; /help lists the commands\n",
        "/add": "expected: /add the question => the answer\n",
        "/add a b": "expected: /add the question => the answer\n",
        "/add => b": "expected: /add the question => the answer\n",
        "/add a =>": "expected: /add the question => the answer\n",
        "/sure": "/sure : expected a number between 0 and 1\n",
        "/sure very": "/sure very: expected a number between 0 and 1\n",
        "/sure 1.5": "/sure 1.5: expected a number between 0 and 1\n",
        "/sure nan": "/sure nan: expected a number between 0 and 1\n",
        "/look": "ask something first\n",
    }
    heard = talk(
        monkeypatch, capsys, task, None, *typed, "pelicans?", "/write", "/look", "/help", "/bye", "never heard"
    )
    assert [err for _, err in heard[1 : len(typed) + 1]] == list(typed.values())
    assert all(out == "" for out, _ in heard[1 : len(typed) + 1])
    written, looked, helped, last = heard[-4:]
    assert written == ("", "this assistant has no generator; train one with --generator\n")
    assert "pelicans" in looked[0]
    assert [line.split()[0] for line in helped[0].splitlines()] == [
        "/why", "/look", "/write", "/add", "/sure", "/state", "/bye",
    ]  # fmt: skip
    assert last == ("", "")


def test_what_is_added_without_a_folder_lasts_as_long_as_the_talk(monkeypatch, capsys, folder):
    before = (folder / "memory" / "unspool.json").read_bytes()
    task = load(folder / "memory")
    heard = talk(monkeypatch, capsys, task, None, "/add a=>b => c", "a", "/quit", threshold=0.5)
    assert heard[1] == ("", "learned, until you leave\n")
    assert heard[2][0] == "b => c\n"
    assert (folder / "memory" / "unspool.json").read_bytes() == before


def test_a_disk_that_is_full_does_not_end_a_conversation(monkeypatch, capsys, copy):
    from unspool.errors import MachineError

    task = load(copy("memory"))

    def refuse(_):
        raise MachineError("no space left")

    monkeypatch.setattr(task, "save", refuse)
    heard = talk(monkeypatch, capsys, task, "somewhere", "/add a => b", "a")
    assert heard[1] == ("", "no space left\n")
    assert heard[2][0] == "b\n"


# ---- the other verbs -----------------------------------------------------------------------------------------------


def test_add_takes_files_in_every_form(shell, copy, tmp_path):
    place = copy("both")
    (tmp_path / "new.yml").write_text("- - Who is Ada?\n  - A countess.\n- - how do i quit VIM?\n  - Press ZZ.\n")
    done = shell("add", place, tmp_path / "new.yml")
    assert done.stdout.startswith("1 new question; 8 questions in 12 wordings; answers from")
    shell("add", place, "-", "--format", "tsv", stdin="Who is Ada?\tA poet's daughter.\nWhat is a sonnet?\tA poem.\n")
    reply = load(place).ask("who is ada")
    assert reply.answers == ["A countess.", "A poet's daughter."]
    assert load(place).ask("How do I quit vim?").answers == ["Type :q! and press enter.", "Press ZZ."]
    assert shell("chat", place, stdin="what is a sonnet\n").stdout == "A poem.\n"
    assert "9 questions" in json.loads((place / "unspool.json").read_text())["network"]["summary"]


@pytest.mark.parametrize(
    ("words", "stdin", "said"),
    [
        (["none.tsv"], None, "none.tsv: no such file"),
        (["-"], "a\tb\n", "the form is unclear from the name"),
        (["-", "--format", "tsv"], "a\tb\nc\t\n", "standard input:2: the answer is empty"),
    ],
    ids=str,
)
def test_add_refuses_before_it_changes_anything(shell, copy, words, stdin, said):
    place = copy("memory")
    before = {name: (place / name).read_bytes() for name in files_in(place) if (place / name).is_file()}
    assert said in shell.refuses("add", place, *words, stdin=stdin)
    assert before == {name: (place / name).read_bytes() for name in files_in(place) if (place / name).is_file()}


def test_predict_evaluate_inspect_and_info(shell, folder, tmp_path):
    asked = "Where do pelicans nest?\n\nwho painted GUERNICA\n"
    assert shell("predict", folder / "both", stdin=asked).stdout == "On quiet islands.\n\nPicasso.\n"
    records = [
        json.loads(line) for line in shell("predict", folder / "memory", "--json", stdin=asked).stdout.splitlines()
    ]
    assert [each and each["answers"] for each in records] == [["On quiet islands."], None, ["Picasso."]]
    scores = json.loads(shell("evaluate", folder / "both", folder / "pairs.tsv", "--json").stdout)
    assert scores["first"] == 1.0
    assert list(scores) == ["first", "correct", "answered", "perplexity"]
    shown = shell("inspect", folder / "both", "Who painted guernica?", "--out", tmp_path / "t.json").stdout
    assert "answer: Picasso." in shown
    assert "attention" in shown
    assert json.loads((tmp_path / "t.json").read_text())["prediction"]["answer"] == "Picasso."
    shown = shell("inspect", folder / "memory", "Who painted guernica?").stdout
    assert "4 ?" in shown
    assert "memory of 7 questions" in shell("info", folder / "memory").stdout
    assert "the text is empty" in shell.refuses("inspect", folder / "memory", " ", code=2)


def test_bad_files_are_refused_before_anything_is_written(shell, tmp_path):
    for name, content, said in (
        ("a.tsv", "a\tb\nc\t \n", "a.tsv:2: the answer is empty"),
        ("a.yml", "- [a, b]\n- [c\n", "a.yml:"),
        ("a.tsv", "a\tb\nA\tc\n", "one question only: expected at least two"),
        ("a.txt", "a\tb\n", "--format tsv"),
    ):
        (tmp_path / name).write_text(content)
        assert said in shell.refuses("train", "answer", tmp_path / name, "--out", tmp_path / "m", *TINY, "--quiet")
        (tmp_path / name).unlink()
    assert files_in(tmp_path) == set()


def test_training_goes_on_where_it_stopped(shell, folder, tmp_path):
    words = ["train", "answer", folder / "more.jsonl", folder / "pairs.tsv", *TINY, "--schedule", "constant", "--quiet"]
    shell(*words, "--out", tmp_path / "whole", "--epochs", "2")
    shell(*words, "--out", tmp_path / "parts")
    shell("train", "--resume", tmp_path / "parts", "--epochs", "2", "--quiet")
    for name in ("model.safetensors", "vocabulary/matching.json"):
        assert (tmp_path / "whole" / name).read_bytes() == (tmp_path / "parts" / name).read_bytes()


def test_training_goes_on_after_pairs_were_added_and_keeps_them(shell, folder, tmp_path):
    words = ["train", "answer", folder / "more.jsonl", folder / "pairs.tsv", *TINY, "--schedule", "constant", "--quiet"]
    shell(*words, "--out", tmp_path / "parts")
    shell("add", tmp_path / "parts", "-", "--format", "tsv", stdin="Who is Ada?\tA countess.\nduck food\tBread.\n")
    before = load(tmp_path / "parts")
    shell("train", "--resume", tmp_path / "parts", "--epochs", "2", "--quiet")
    after = load(tmp_path / "parts")
    listed = [[(each.wordings, each.answers) for each in task.questions] for task in (before, after)]
    assert listed[0] == listed[1]
    assert after.ask("who is ada").answer == "A countess."
    assert set(after.ask("duck food").answers) == {"Oats.", "Bread."}
    shell(*words, "--out", tmp_path / "whole", "--epochs", "2")
    shell("add", tmp_path / "whole", "-", "--format", "tsv", stdin="Who is Ada?\tA countess.\nduck food\tBread.\n")
    for name in ("model.safetensors", "vocabulary/matching.json"):
        assert (tmp_path / "whole" / name).read_bytes() == (tmp_path / "parts" / name).read_bytes()


def test_compare_gives_networks_the_same_budget(shell, folder):
    # without its generator there would be nothing to compare
    words = ["compare", "answer", folder / "more.jsonl", *TINY, "--networks", "initial,gru", "--json", "--quiet"]
    record = json.loads(shell(*words).stdout)
    assert [row["network"] for row in record["networks"]] == ["initial", "gru"]
    assert all({"first", "perplexity"} <= set(row["scores"]) for row in record["networks"])
    assert list(record["baselines"]) == ["tf–idf"]


def test_help(shell):
    def shown(*words):
        return " ".join(CliRunner().invoke(unspool, [*words, "--help"]).stdout.split())

    assert "chat Chat with an assistant" in shown()
    assert "one sentence a line, from the terminal, a FILE or stdin (-)" in shown("chat")
    assert "--threshold" in shown("chat")
    assert "A question that the assistant has already gets one more answer." in shown("add")
    assert "--format" in shown("add")
    text = shown("train", "answer")
    for part in ("--generator / --no-generator", "--unknown TEXT", "--keep NUMBER", "--memory.size", "--question TEXT"):
        assert part in text
    assert "an assistant the answer" in shown("predict")


@pytest.mark.parametrize("verb", ["predict", "evaluate"])
def test_an_assistant_refuses_how_to_search(shell, folder, verb):
    done = shell(verb, folder / "both", folder / "pairs.tsv", "--beam", "4", code=2)
    which = "the search of a translator, a captioner or a transcriber takes this"
    assert done.stderr == f"unspool: beam: this is a model of the task 'answer'; {which}\n"
