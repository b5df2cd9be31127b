"""A model folder changes at once: kills, full disks, two writers and readers in between."""

from __future__ import annotations

import errno
import json
import os
import pathlib
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import unspool
from pair_samples import MEMORY, SILENT, entries, write_entries
from unspool import Assistant
from unspool.errors import MachineError, ModelFolderError
from unspool.tasks.answer.fitted import FittedAssistant
from unspool.tasks.answer.settings import AssistantSettings
from unspool.writing import finish_generation, locked, new_generation, newest, read_undisturbed

CALLS = ("rename", "replace", "fsync", "mkdir", "rmdir", "unlink")
ASKED = ["How do I quit vim?", "who feeds the ducks", "where do pelicans nest", "zebra"]
PAIR = ("Where do pelicans nest?", "On quiet islands.")


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("saving")
    write_entries(place / "train.jsonl", entries())
    Assistant(**MEMORY).fit(place / "train.jsonl", out=place / "model", reporter=SILENT)
    return place / "model"


def add_and_save(folder: Path) -> None:
    task = unspool.load(folder)
    assert isinstance(task, Assistant)
    task.add([PAIR])
    task.save(folder)


def said(folder: Path) -> list[Any]:
    task = unspool.load(folder)
    assert isinstance(task, Assistant)
    return [task.ask(each) for each in ASKED]


def contents(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and "training" not in path.parts
    }


@pytest.fixture(scope="module")
def before(trained: Path) -> list[Any]:
    return said(trained)


@pytest.fixture(scope="module")
def after(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Any]:
    copy = tmp_path_factory.mktemp("after") / "model"
    shutil.copytree(trained, copy)
    add_and_save(copy)
    assert sorted(path.name for path in copy.iterdir()) == sorted(path.name for path in trained.iterdir())
    return said(copy)


@pytest.fixture(autouse=True)
def _they_differ(before: list[Any], after: list[Any]) -> None:
    assert before != after


class Killed(BaseException):
    """The process is gone."""


class Fault:
    """Fail at a call of the operating system, counted over all of `CALLS`.

    Args:
        at: Number of the call, from 1.
        error: What is raised.
        late: Whether the call has taken effect before it fails.
        dead: Whether nothing takes effect from then on, as in a process that is gone.
    """

    def __init__(self, at: int, error: Callable[[], BaseException], *, late: bool = False, dead: bool = True) -> None:
        self.at, self.error, self.late, self.dead, self.count = at, error, late, dead, 0

    def over(self, call: Callable[..., Any]) -> Callable[..., Any]:
        def watched(*arguments: Any, **options: Any) -> Any:
            self.count += 1
            if self.count < self.at or (self.count > self.at and not self.dead):
                return call(*arguments, **options)
            if self.count == self.at and self.late:
                call(*arguments, **options)
            raise self.error()

        return watched


def run(fault: Fault, action: Callable[[], None]) -> BaseException | None:
    """What an action fails with; the machine works again afterwards."""
    with pytest.MonkeyPatch.context() as patch:
        for name in CALLS:
            patch.setattr(os, name, fault.over(getattr(os, name)))
        try:
            action()
        except (Killed, MachineError) as error:
            return error
    return None


# ---- kills and disks that refuse -----------------------------------------------------------------------------------


@pytest.mark.parametrize("late", [False, True], ids=["before the call", "after the call"])
def test_a_kill_at_any_call_leaves_the_old_assistant_or_the_new_one(trained, before, after, tmp_path, late):
    outcomes = []
    for at in range(1, 200):
        folder = shutil.copytree(trained, tmp_path / str(at))
        if run(Fault(at, Killed, late=late), lambda folder=folder: add_and_save(folder)) is None:
            break
        listed = sorted(folder.rglob("*"))
        outcomes.append(said(folder))
        assert sorted(folder.rglob("*")) == listed  # whoever reads, writes nothing
        add_and_save(folder)  # the next one clears away what was left
        assert said(folder) == after
        assert sorted(path.name for path in folder.iterdir()) == sorted(path.name for path in trained.iterdir())
        shutil.rmtree(folder)
    assert len(outcomes) > 20
    assert all(each in (before, after) for each in outcomes)
    switch = outcomes.index(after)
    assert outcomes == [before] * switch + [after] * (len(outcomes) - switch)


def test_a_kill_while_a_training_saves_leaves_it_as_it_was_or_ended(trained, before, tmp_path):
    """Beside the checkpoint there are only the vocabularies that training began with, and no weights."""
    task = unspool.load(trained)
    ended = 0
    for at in range(1, 200):
        folder = shutil.copytree(trained, tmp_path / str(at))
        (folder / "model.safetensors").unlink()
        (folder / "README.md").unlink()
        begun = Assistant(**MEMORY)
        begun._learn(begun._read(trained.parent / "train.jsonl")[:5])
        begun.fitted.save(folder / "vocabulary")
        if run(Fault(at, Killed), lambda folder=folder: task.save(folder)) is None:
            break
        if newest(folder, "model.safetensors").exists():
            assert said(folder) == before
            ended += 1
        else:
            with pytest.raises(ModelFolderError, match="holds no weights yet"):
                unspool.load(folder)
            assert not ended
            assert len(json.loads((folder / "vocabulary" / "questions.json").read_text())) == 5
    assert ended > 3


def test_a_training_goes_on_from_a_folder_whose_saving_was_killed(trained, tmp_path):
    folder = shutil.copytree(trained, tmp_path / "m")
    rename = next(
        at
        for at in range(1, 200)
        if run(Fault(at, Killed, late=True), lambda: add_and_save(folder)) and (folder / "generation").is_dir()
    )
    assert rename > 5
    task = Assistant(**MEMORY).fit(trained.parent / "train.jsonl", out=folder, resume=True, reporter=SILENT)
    assert not (folder / "generation").exists()
    assert task.ask(PAIR[0]).answer == PAIR[1]
    assert unspool.load(folder).ask(PAIR[0]).answer == PAIR[1]


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO], ids=["full", "broken"])
def test_a_disk_that_refuses_a_call_leaves_the_old_assistant_or_the_new_one(trained, before, after, tmp_path, number):
    refused = 0
    for at in range(1, 200):
        folder = shutil.copytree(trained, tmp_path / str(at))
        fault = Fault(at, lambda: OSError(number, os.strerror(number)), dead=False)
        error = run(fault, lambda folder=folder: add_and_save(folder))
        if fault.count < at:
            break
        if error is None:
            assert said(folder) == after
        else:
            refused += 1
            assert said(folder) == before
            assert contents(folder) == contents(trained)
            reason = "the disk is full" if number == errno.ENOSPC else "it can't be written (Input/output error)"
            assert str(error).startswith(f"{folder}: {reason}; what was there before is unharmed")
        shutil.rmtree(folder)
    assert refused > 10


class Disk:
    """A disk with room for so many bytes."""

    def __init__(self, room: int) -> None:
        self.room = room

    def over(self, opened: Callable[..., Any]) -> Callable[..., Any]:
        def limited(path: Path, mode: str = "r", *arguments: Any, **options: Any) -> Any:
            file = opened(path, mode, *arguments, **options)
            return _Limited(file, self) if mode == "wb" else file

        return limited


class _Limited:
    def __init__(self, file: Any, disk: Disk) -> None:
        self.file, self.disk = file, disk

    def write(self, content: Any) -> int:
        size = memoryview(content).nbytes
        self.file.write(bytes(content)[: self.disk.room])
        self.disk.room -= size
        if self.disk.room < 0:
            self.disk.room = 0
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return size

    def __enter__(self) -> _Limited:
        return self

    def __exit__(self, *_: object) -> None:
        self.file.close()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.file, name)


def test_a_full_disk_of_any_size_leaves_the_assistant_as_it_was(trained, before, after, tmp_path):
    folder = shutil.copytree(trained, tmp_path / "sizes")
    add_and_save(folder)
    names = ["vocabulary/questions.json", "vocabulary/ngrams.json", "vocabulary/matching.json"]
    names += ["model.safetensors", "README.md", "unspool.json"]
    ends = [0]
    for name in names:
        ends.append(ends[-1] + (folder / name).stat().st_size)
    rooms = {end + more for end in ends for more in (-1, 0, 1)} | set(range(0, ends[-1], ends[-1] // 20))
    for room in sorted(room for room in rooms if room >= 0):
        folder = shutil.copytree(trained, tmp_path / str(room))
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(pathlib.Path, "open", Disk(room).over(pathlib.Path.open))
            if room < ends[-1]:
                with pytest.raises(MachineError, match="the disk is full; what was there before is unharmed: free"):
                    add_and_save(folder)
            else:
                add_and_save(folder)
        assert said(folder) == (before if room < ends[-1] else after), room
        if room < ends[-1]:
            assert contents(folder) == contents(trained)
        shutil.rmtree(folder)


KILL = """
import os, signal, sys
from pathlib import Path
import unspool

def add(folder, at):
    calls = 0
    def over(call):
        def watched(*arguments, **options):
            nonlocal calls
            calls += 1
            if calls == at:
                os.kill(os.getpid(), signal.SIGKILL)
            return call(*arguments, **options)
        return watched
    for name in ("rename", "replace", "fsync", "mkdir", "rmdir", "unlink"):
        setattr(os, name, over(getattr(os, name)))
    task = unspool.load(folder)
    task.add([("Where do pelicans nest?", "On quiet islands.")])
    task.save(folder)

unspool.load(sys.argv[1])  # imports all that is needed, once
for folder in sys.argv[1:]:
    child = os.fork()
    if child == 0:
        add(Path(folder), int(Path(folder).name))
        os._exit(0)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this platform does not fork")
def test_real_kills(trained, before, after, tmp_path):
    folders = [shutil.copytree(trained, tmp_path / str(at)) for at in range(1, 46, 3)]
    done = subprocess.run(
        [sys.executable, "-c", KILL, *map(str, folders)],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    codes = list(map(int, done.stdout.split()))
    assert set(codes) <= {0, -9}
    assert codes.count(-9) > 8
    outcomes = [said(folder) for folder in folders]
    assert all(each in (before, after) for each in outcomes)
    assert outcomes[0] == before
    assert outcomes[codes.index(0) if 0 in codes else -1] == after


# ---- two at once ---------------------------------------------------------------------------------------------------


def test_two_adds_at_once_both_count(trained, tmp_path):
    folder = shutil.copytree(trained, tmp_path / "m")
    (tmp_path / "a.tsv").write_text("Who is Ada?\tA countess.\n")
    (tmp_path / "b.tsv").write_text("Who is Bob?\tA builder.\n")
    command = [sys.executable, "-m", "unspool", "add", str(folder)]
    adding = [subprocess.Popen([*command, str(tmp_path / name)], stdout=subprocess.PIPE) for name in ("a.tsv", "b.tsv")]
    for process in adding:
        assert process.communicate(timeout=300)[0].startswith(b"1 new question; ")
        assert process.returncode == 0
    task = unspool.load(folder)
    assert task.ask("who is ada").answer == "A countess."
    assert task.ask("who is bob").answer == "A builder."
    assert task.record.generation == 3


def test_what_another_process_saved_is_not_undone(trained, tmp_path):
    folder = shutil.copytree(trained, tmp_path / "m")
    first, second = unspool.load(folder), unspool.load(folder)
    first.add([("Who is Ada?", "A countess.")])
    first.save(folder)
    second.add([("Who is Bob?", "A builder.")])
    with pytest.raises(ModelFolderError, match="was written by another process since this model was opened"):
        second.save(folder)
    second.save(tmp_path / "elsewhere")
    assert unspool.load(folder).ask("who is ada").answer == "A countess."
    first.add([("Who is Cy?", "A clown.")])
    first.save(folder)  # one's own changes follow one another
    assert unspool.load(folder).ask("who is cy").answer == "A clown."
    first.save(tmp_path / "elsewhere")  # a folder that it was not opened from is replaced
    assert unspool.load(tmp_path / "elsewhere").ask("who is cy").answer == "A clown."


def test_a_second_writer_waits(tmp_path):
    (tmp_path / "m").mkdir()
    order = []

    def write() -> None:
        with new_generation(tmp_path / "m") as staged:
            order.append("second")
            (staged / "a").write_text("2")

    thread = threading.Thread(target=write)
    with locked(tmp_path / "m"), locked(tmp_path / "m"):
        with new_generation(tmp_path / "m") as staged:  # the thread that holds the lock goes on
            (staged / "a").write_text("1")
        thread.start()
        thread.join(0.3)
        order.append("first")
    thread.join(60)
    assert order == ["first", "second"]
    assert (tmp_path / "m" / "a").read_text() == "2"


def test_a_reader_between_two_generations_reads_one_of_them(trained, after, tmp_path, monkeypatch):
    folder, opened = shutil.copytree(trained, tmp_path / "m"), []
    plain = FittedAssistant.load

    def load_and_be_overtaken(place: Path, settings: AssistantSettings) -> FittedAssistant:
        fitted = plain(place, settings)
        opened.append(fitted)
        if len(opened) == 1:
            add_and_save(folder)
        return fitted

    monkeypatch.setattr(FittedAssistant, "load", load_and_be_overtaken)
    assert said(folder) == after
    assert len(opened) == 3  # the first, that of `add_and_save`, and the first again


def test_a_fault_of_the_folder_is_told_once(tmp_path):
    tries = []

    def read() -> None:
        tries.append(1)
        raise ModelFolderError("damaged")

    with pytest.raises(ModelFolderError, match="damaged"):
        read_undisturbed(tmp_path, read)
    assert len(tries) == 1


# ---- what lies in a folder -----------------------------------------------------------------------------------------


def test_a_folder_from_before_there_were_generations(trained, before, after, tmp_path):
    folder = shutil.copytree(trained, tmp_path / "m")
    record = json.loads((folder / "unspool.json").read_text())
    assert record.pop("generation") == 1
    (folder / "unspool.json").write_text(json.dumps(record))
    assert said(folder) == before
    add_and_save(folder)
    assert said(folder) == after
    assert json.loads((folder / "unspool.json").read_text())["generation"] == 1


def test_leftovers_are_removed_and_a_link_in_their_place_is_not_followed(trained, after, tmp_path):
    folder = shutil.copytree(trained, tmp_path / "m")
    for name in ("generation.partial", "generation.old"):
        (folder / name / "vocabulary").mkdir(parents=True)
        (folder / name / "vocabulary" / "questions.json").write_text("[]")
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "precious").write_text("mine")
    (folder / "generation").symlink_to(outside)
    add_and_save(folder)
    assert said(folder) == after
    assert sorted(path.name for path in folder.iterdir()) == sorted(path.name for path in trained.iterdir())
    assert (outside / "precious").read_text() == "mine"


def test_parts_that_are_not_written_stay(tmp_path):
    folder = tmp_path / "new" / "m"
    with new_generation(folder) as staged:
        (staged / "a").write_text("1")
        (staged / "b").mkdir()
        (staged / "b" / "c").write_text("1")
    with new_generation(folder) as staged:
        (staged / "b").mkdir()
        (staged / "b" / "d").write_text("2")
    assert contents(folder) == {"a": b"1", "b/d": b"2"}
    assert newest(folder, "a") == folder / "a"
    (folder / "generation").mkdir()
    (folder / "generation" / "a").write_text("3")
    assert newest(folder, "a") == folder / "generation" / "a"
    finish_generation(folder)
    assert contents(folder) == {"a": b"3", "b/d": b"2"}


def test_a_folder_that_could_not_be_written_is_not_made(tmp_path):
    with pytest.raises(MachineError, match="it can't be written"), new_generation(tmp_path / "m"):
        raise OSError(errno.EIO, os.strerror(errno.EIO))
    assert not (tmp_path / "m").exists()
    (tmp_path / "file").write_text("x")
    with pytest.raises(MachineError, match="it can't be written"), new_generation(tmp_path / "file"):
        pass
    assert (tmp_path / "file").read_text() == "x"
