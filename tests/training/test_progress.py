import io
import re

import pytest
from tiny_training import Windows, language_model, train

from unspool.errors import counted
from unspool.training import BarReporter, LineReporter, Progress, Reporter, report_to
from unspool.training.progress import clock, thousands


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def progress(**changes) -> Progress:
    values = {
        "epoch": 1.25,
        "epochs": 4,
        "update": 10,
        "updates": 32,
        "loss": 2.34567,
        "metric": "accuracy",
        "value": 0.81234,
        "best": 0.9,
        "learning_rate": 1e-3,
        "tokens_per_second": 12345.0,
        "seconds": 5.0,
        "seconds_left": 61.0,
    }
    return Progress(**values | changes)


def test_a_line_shows_all_a_person_wants_to_know():
    assert str(progress()) == (
        "epoch 1.2/4  update 10/32  loss 2.3457  accuracy 0.8123 (best 0.9)  lr 0.001  12.3k tokens/s  1:01 left"
    )
    short = progress(loss=None, value=None, best=None, seconds_left=None)
    assert str(short) == "epoch 1.2/4  update 10/32  lr 0.001  12.3k tokens/s"


@pytest.mark.parametrize(
    ("number", "text"), [(7.4, "7"), (999.4, "999"), (999.6, "1k"), (12345, "12.3k"), (2.5e6, "2.5M")]
)
def test_numbers_are_short(number, text):
    assert thousands(number) == text


@pytest.mark.parametrize(("seconds", "text"), [(0.4, "0:00"), (59.6, "1:00"), (725, "12:05"), (11279, "3:07:59")])
def test_times_are_clocks(seconds, text):
    assert clock(seconds) == text


def test_the_stream_decides():
    assert isinstance(report_to(io.StringIO()), LineReporter)
    assert isinstance(report_to(Terminal()), BarReporter)


def test_lines_tell_a_run(tmp_path):
    stream = io.StringIO()
    train(language_model(), Windows(), tmp_path, epochs=2, reporter=LineReporter(stream, interval=0.0))
    lines = stream.getvalue().splitlines()
    weights = sum(parameter.numel() for parameter in language_model().parameters())
    assert lines[0] == f"training: {weights} weights, 14 updates of 2 epochs, on cpu"
    assert re.fullmatch(r"epoch 0.1/2  update 1/14  loss \d\.\d{4}  lr 0.02  \S+ tokens/s  0:\d\d left", lines[1])
    assert re.fullmatch(
        r"epoch 1  loss \d\.\d{4}  nats [\d.]+  \(best so far\)  lr 0.02  \S+ tokens/s  0:\d\d", lines[8]
    )
    assert re.fullmatch(r"done after 2 epochs, 0:\d\d; best nats [\d.]+, after epoch [12]", lines[-1])
    assert len(lines) == 1 + 14 + 2 + 1


def test_the_bar_is_drawn_and_taken_away(tmp_path, monkeypatch):
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("COLUMNS", "120")
    outputs = {}
    for colours in (True, False):
        monkeypatch.delenv("NO_COLOR", raising=False)
        if not colours:
            monkeypatch.setenv("NO_COLOR", "1")
        stream = Terminal()
        reporter = BarReporter(stream)
        reporter.interval = 0.0
        train(language_model(), Windows(), tmp_path / str(colours), epochs=2, reporter=reporter)
        outputs[colours] = stream.getvalue()
    for text in outputs.values():
        assert "epoch 1.0/2" in text
        assert "tokens/s" in text
        assert "\x1b[?25h" in text  # the cursor is back
        assert text.rstrip().splitlines()[-1].find("done after 2 epochs") >= 0
    assert "\x1b[38;" in outputs[True]
    assert "\x1b[38;" not in outputs[False]


def test_silence_is_silent(tmp_path, capfd):
    train(language_model(), Windows(), tmp_path, epochs=1, reporter=Reporter())
    train(language_model(), Windows(), tmp_path / "b", epochs=1)
    assert capfd.readouterr() == ("", "")


def test_the_bar_is_taken_away_when_a_run_fails(tmp_path):
    stream, source = Terminal(), Windows()

    def before(*_):
        raise RuntimeError("broken")

    source.before = before
    with pytest.raises(RuntimeError, match="broken"):
        train(language_model(), source, tmp_path, reporter=BarReporter(stream))
    assert stream.getvalue().rstrip().endswith("\x1b[2K") or "\x1b[?25h" in stream.getvalue()


@pytest.mark.parametrize(
    ("number", "things", "text"),
    [
        (1, "epochs", "1 epoch"),
        (1.0, "epochs", "1 epoch"),
        (2.5, "epochs", "2.5 epochs"),
        (0, "updates", "0 updates"),
        (12_345, "updates", "12,345 updates"),
        (1, "stories", "1 story"),
        (1, "bad examples", "1 bad example"),
        (7, "stories", "7 stories"),
    ],
)
def test_what_is_counted_once_stands_in_the_singular(number, things, text):
    assert counted(number, things) == text


def test_final_scores_are_counted_line_by_line_and_on_a_bar():
    lines = io.StringIO()
    LineReporter(lines).scoring("validation", 1200, 5000)
    assert lines.getvalue() == "scoring validation: 1,200 of 5,000\n"
    terminal = io.StringIO()
    bar = BarReporter(terminal)
    bar.scoring("test", 3, 4)
    bar.scored()
    assert not bar._bar.live.is_started
    assert bar._bar.tasks[0].completed == 3
    assert bar._bar.tasks[0].total == 4
