"""`unspool check`: what is told of data, and the exit code."""

import json
import subprocess
import sys

import pytest


def write(path, content):
    path.write_text(content, encoding="utf-8")
    return path


def findings(outcome):
    return {each["name"]: each for each in json.loads(outcome.stdout)["findings"]}


REVIEWS = "Comment, free text;Sentiment?\n" + "".join(
    f"this is film number {n} of the {'best' if n % 2 else 'worst'} kind;{'fine' if n % 2 else 'dull'}\n"
    for n in range(20)
)


def test_a_table_is_described_and_no_fault_found(shell, tmp_path):
    done = shell("check", write(tmp_path / "a.csv", REVIEWS))
    assert "delimiter ';', header line" in done.stdout
    assert "text = 'Comment, free text', label = 'Sentiment?'" in done.stdout
    assert "text: 9 to 9 words, median 9" in done.stdout
    assert "2 labels, from 'dull' (10) to 'fine' (10)" in done.stdout
    assert "task 'classify'" in done.stderr
    assert done.stdout.endswith("0 errors, 0 warnings\n")


def test_what_training_would_stop_at_is_an_error_with_its_place(shell, tmp_path):
    train = write(tmp_path / "a.csv", REVIEWS + ";fine\nno label here\n")
    valid = write(tmp_path / "v.csv", REVIEWS + "a new film;superb\n")
    done = shell("check", "classify", train, "--valid", valid, "--json", code=1)
    found = findings(done)
    assert found["bad-lines"]["level"] == "error"
    assert found["bad-lines"]["where"] == [f"{train}:22", f"{train}:23"]
    assert "--skip-bad" in found["bad-lines"]["message"]
    assert found["unseen-label"]["level"] == "error"
    assert found["unseen-label"]["where"] == [f"{valid}:22"]
    assert found["leak-between-splits"]["count"] == 20
    skipped = shell("check", "classify", train, "--skip-bad", "--json")
    assert findings(skipped)["bad-lines"]["level"] == "warning"


def test_duplicates_conflicts_rare_labels_and_texts_that_tell_their_label(shell, tmp_path):
    rows = [f"the weather is spam today {n}\tspam" for n in range(10)] + [
        f"what is it {n} to you\tham" for n in range(10)
    ]
    rows += ["What is it 3 to you\tham", "what is it  4 to you\tspam", "once only\trare"]
    path = write(tmp_path / "a.tsv", "\n".join(rows) + "\n")
    found = findings(shell("check", "classify", path, "--json"))
    assert found["duplicates"]["where"] == [f"{path}:21 (as {path}:14)"]
    assert found["conflicting-labels"]["where"] == [f"{path}:22 (as {path}:15)"]
    assert found["rare-labels"]["where"] == [f"{path}:23"]
    assert "91% of the texts with the label 'spam' contain its name" in found["label-in-text"]["message"]
    assert "imbalance" not in found


def test_imbalance_and_a_nearly_constant_label(shell, tmp_path):
    rows = [f"some text number {n}\tusual" for n in range(60)]
    few = write(tmp_path / "few.tsv", "\n".join([*rows, "a b\todd", "a c\todd"]) + "\n")
    more = write(tmp_path / "more.tsv", "\n".join([*rows, *(f"x {n}\tother" for n in range(9)), "a\todd"]) + "\n")
    assert "96.8%" in findings(shell("check", "classify", few, "--json"))["near-constant"]["message"]
    assert "60 times as frequent" in findings(shell("check", "classify", more, "--json"))["imbalance"]["message"]


def test_languages_scripts_long_and_garbled_texts(shell, tmp_path):
    english = [f"this is the line number {n} of the book and it was not for you" for n in range(40)]
    odd = [
        "der Hund und die Katze sind nicht auf dem Sofa",
        "das ist nicht wie wir es sich wünschen",
        "ich bin auch für das und die",
    ]
    odd += ["это не та строка", "p\u0430ypal is the one", "it was the CafÃ© of the town", "word " * 400]
    path = write(tmp_path / "a.txt", "\n".join([*english, *odd]) + "\n")
    found = findings(shell("check", "write", path, "--json"))
    assert found["mixed-languages"]["where"] == [f"{path}:41", f"{path}:42", f"{path}:43"]
    assert "look German" in found["mixed-languages"]["message"]
    assert found["mixed-scripts"]["where"] == [f"{path}:45"]
    assert found["garbled"]["where"] == [f"{path}:46"]
    assert found["long-texts"]["where"] == [f"{path}:47 (400 words)"]


@pytest.mark.parametrize(
    ("name", "content", "task"),
    [
        ("a.conllu", "1\tyes\t_\tINTJ\t_\t_\t_\t_\t_\t_\n\n1\tno\t_\tX\t_\t_\t_\t_\t_\t_\n", "tag"),
        ("a.jsonl", '{"question": "a b", "answers": ["c"]}\n{"question": "d", "answers": ["e"]}\n', "answer"),
        ("b.jsonl", '{"story": ["a b"], "question": "c", "answers": ["d"]}\n' * 2, "read"),
        ("c.jsonl", '{"tokens": ["a"], "tags": ["X"]}\n{"tokens": ["b"], "tags": ["Y"]}\n', "tag"),
        ("a.tsv", "source\ttarget\na\tb\n", "translate"),
        ("a.txt", "It was a dark night.\nAnd a stormy one.\n", "write"),
        ("b.txt", "1 Mary went home.\n2 Where is Mary?\thome\t1\n3 Who went?\tMary\t1\n", "read"),
    ],
)  # fmt: skip
def test_the_task_is_guessed(shell, tmp_path, name, content, task):
    done = shell("check", "--json", write(tmp_path / name, content), code=None)
    assert json.loads(done.stdout)["task"] == task


def test_an_unclear_task_is_asked_for(shell, tmp_path):
    path = write(tmp_path / "a.tsv", "".join(f"this is sentence {n}.\tdas ist Satz {n}.\n" for n in range(30)))
    assert f"unspool check classify {path}" in shell.refuses("check", path, "--quiet", code=2)
    assert "no such file" in shell.refuses("check", tmp_path / "missing.tsv", "--quiet")
    assert "makes its own data" in shell.refuses("check", "algorithm", "copy", code=2)


def test_no_torch_is_imported(tmp_path):
    path = write(tmp_path / "a.csv", REVIEWS)
    program = (
        "import sys; from unspool.cli import unspool\n"
        f"try: unspool.main(['check', {str(path)!r}])\n"
        "except SystemExit: print('torch' in sys.modules, file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stderr.splitlines()[-1] == "False"


def test_intents_of_commands_may_be_joined(shell, tmp_path):
    rows = [
        {"text": f"flights and fares to city {n}", "intent": "flight#fare", "slots": {"city": f"city {n}"}}
        for n in range(9)
    ]
    path = write(tmp_path / "a.jsonl", "".join(f"{json.dumps(row)}\n" for row in rows))
    one = findings(shell("check", "command", path, "--json", code=1))
    assert one["one-label"]["message"] == "1 intent only; expected two or more"
    assert "2 intents, from 'fare' (9) to 'flight' (9)" in shell("check", "command", path, "--separator", "#").stdout
    several = [{"text": f"stop song {n}", "intents": ["stop"]} for n in range(9)]
    path = write(tmp_path / "b.jsonl", "".join(f"{json.dumps(row)}\n" for row in several))
    assert "one-label" in findings(shell("check", "command", path, "--json", code=1))
    assert "one-label" not in findings(shell("check", "command", path, "--several", "yes", "--json"))
