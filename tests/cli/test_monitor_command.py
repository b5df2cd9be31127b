"""`unspool monitor`: one run, several runs, a run that is training, and what is no run."""

import json
import subprocess
import sys

import pytest


def write_run(folder, updates=40, spike=None, start=1.0, **values):
    (folder / "training").mkdir(parents=True)
    lines = []
    for update in range(1, updates + 1):
        loss = 80.0 if update == spike else start / update
        record = {"kind": "train", "update": update, "epoch": update / 10, "loss": loss, "seconds": update}
        lines.append({**record, "learning_rate": 0.01, "gradient_norm": 0.5, "tokens_per_second": 900.0})
        if update % 10 == 0:
            lines.append({"kind": "validation", "update": update, "nats": 2 / update, "best": True, **values})
    (folder / "training" / "log.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return folder


def test_one_run_shows_its_curves_in_80_columns(shell, tmp_path):
    folder = write_run(
        tmp_path / "run", samples=[{"input": "ein Haus", "output": "a house\x1b[31m", "right": "a home"}]
    )
    drawn = shell("monitor", folder).stdout
    assert drawn.startswith("run: interrupted, update 40, epoch 4, 0:40, training loss 0.025")
    titles = [
        "training loss: 0.025",
        "validation nats: 0.05, best at update 40",
        "learning rate",
        "gradient norm",
        "speed",
    ]
    places = [drawn.index(f"\n{title}") for title in titles]
    assert places == sorted(places)
    assert max(map(len, drawn.splitlines())) <= 80
    assert "samples at update 40\n  input: ein Haus\n  output: a house\\x1b[31m\n  right: a home" in drawn


def test_a_spike_and_a_number_that_is_not_finite_are_seen(shell, tmp_path):
    folder = write_run(tmp_path / "run", updates=3000, spike=2222)
    path = folder / "training" / "log.jsonl"
    path.write_text(path.read_text().replace(f'"loss": {1 / 1500}', '"loss": null'))
    drawn = shell("monitor", folder, "--curve", "training loss").stdout
    top = next(line for line in drawn.splitlines() if line.split()[:1] == ["80"])
    assert top.count("█") == 1
    assert top.rstrip()[-1] == "█"  # the spike of one update in 3,000
    assert drawn.count("×") == 1
    assert "warning: the training loss is not finite at update 1,500; lower the learning rate (--learning-rate)" in (
        " ".join(drawn.split())
    )


def test_several_runs_stand_side_by_side(shell, tmp_path):
    for name, length in (("b-10", 40), ("b-9", 20)):
        write_run(tmp_path / name, length)
    drawn = shell("monitor", tmp_path).stdout
    rows = [line.split() for line in drawn.splitlines()[:3]]
    assert rows[0][:3] == ["run", "state", "update"]
    assert [row[:3] for row in rows[1:]] == [["b-9", "interrupted", "20"], ["b-10", "interrupted", "40"]]
    bars = [line for line in drawn.splitlines() if line.rstrip().endswith("▁")]
    assert len(bars[0].rstrip()) < len(bars[1].rstrip())  # the same axis of updates


def test_each_run_is_a_line_of_json(shell, tmp_path):
    for name in ("one", "two"):
        write_run(tmp_path / name)
    records = [json.loads(line) for line in shell("monitor", tmp_path, "--json").stdout.splitlines()]
    assert [(record["name"], record["update"]) for record in records] == [("one", 40), ("two", 40)]
    assert len(records[0]["curves"]["training loss"]["high"]) == 800


def test_following_ends_with_the_process_that_trains(shell, tmp_path):
    folder = write_run(tmp_path / "run", 10)
    code = (
        "import pathlib, sys, time\n"
        "from unspool.training.folder_lock import lock_folder\n"
        "folder = pathlib.Path(sys.argv[1])\n"
        "with lock_folder(folder):\n"
        "    print('locked', flush=True)\n"
        "    time.sleep(1.5)\n"
        "    with (folder / 'training' / 'log.jsonl').open('a') as file:\n"
        '        file.write(\'{"kind": "train", "update": 11, "loss": 0.5}\\n\')\n'
        "    time.sleep(1)\n"
    )
    with subprocess.Popen([sys.executable, "-c", code, str(folder)], stdout=subprocess.PIPE, text=True) as worker:
        assert worker.stdout.readline() == "locked\n"
        lines = shell("monitor", folder, "--follow", "--seconds", "0.1").stdout.splitlines()
    assert lines[0].startswith("run: running, update 10,")
    assert any("update 11, training loss 0.5" in line for line in lines[1:])


@pytest.mark.parametrize(
    ("words", "sentence", "code"),
    [
        (("missing",), "there is no such folder", 1),
        (("empty",), "there is no training run in this folder", 1),
        (("run", "--curve", "los"), "has no curve 'los'", 2),
        (("run", "--json", "--follow"), "leave out --follow", 2),
    ],
    ids=str,
)
def test_what_cannot_be_shown_is_refused(shell, tmp_path, words, sentence, code):
    (tmp_path / "empty").mkdir()
    write_run(tmp_path / "run")
    assert sentence in shell.refuses("monitor", tmp_path / words[0], *words[1:], code=code)
