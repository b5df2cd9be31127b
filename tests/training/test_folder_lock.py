import os
import platform
import re
import shutil
import subprocess
import sys
from pathlib import Path
from threading import Thread

import pytest
from tiny_training import Windows, language_model, train

import unspool
from unspool.errors import UsageError
from unspool.training import folder_lock
from unspool.training.folder_lock import lock_folder, refuse_folder_in_training

HOLD = """
import sys
from pathlib import Path
from unspool.training.folder_lock import lock_folder
with lock_folder(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.readline()
"""


def hold(folder: Path) -> subprocess.Popen:
    """A process that holds a folder's lock until its standard input ends."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(folder)],
        env=os.environ | {"PYTHONPATH": str(Path(unspool.__path__[0]).parent)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    return process


def test_another_process_is_named_and_a_killed_one_lets_go(tmp_path):
    folder = tmp_path / "m"
    with hold(folder) as process:
        sentence = (
            rf"{folder} is in training already, by process {process.pid} on {re.escape(platform.node())} since "
            r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d; wait until it ends, stop it, or choose another folder"
        )
        for refused in (lambda: lock_folder(folder).__enter__(), lambda: refuse_folder_in_training(folder)):
            with pytest.raises(UsageError, match=f"^{sentence}$"):
                refused()
        with pytest.raises(UsageError, match=sentence):
            train(language_model(), Windows(), folder, epochs=1)
        process.kill()
    assert (folder / "training" / "lock").is_file()
    refuse_folder_in_training(folder)
    assert list(folder.iterdir()) == []
    train(language_model(), Windows(), folder, epochs=1)
    assert not (folder / "training" / "lock").exists()


def test_a_process_that_ends_leaves_nothing(tmp_path):
    with hold(tmp_path / "m") as process:
        process.communicate("\n")
    assert list((tmp_path / "m").iterdir()) == []


def test_the_holder_enters_again_and_other_threads_do_not(tmp_path):
    refusals: list[UsageError] = []

    def rival() -> None:
        try:
            with lock_folder(tmp_path):
                pass
        except UsageError as refusal:
            refusals.append(refusal)

    with lock_folder(tmp_path):
        with lock_folder(tmp_path / "." / ""):
            pass
        refuse_folder_in_training(tmp_path)
        thread = Thread(target=rival)
        thread.start()
        thread.join()
    assert [f"by process {os.getpid()} " in str(refusal) for refusal in refusals] == [True]
    with lock_folder(tmp_path):
        pass


def test_a_lock_whose_folder_was_removed_is_not_taken_for_the_one_of_the_new_folder(tmp_path):
    folder = tmp_path / "m"
    with lock_folder(folder):
        shutil.rmtree(folder)
        with hold(folder) as process:
            process.communicate("\n")
    with lock_folder(folder):
        shutil.rmtree(folder)
        rival = hold(folder)
    with rival, pytest.raises(UsageError, match=f"by process {rival.pid} "):
        refuse_folder_in_training(folder)
    refuse_folder_in_training(folder)


@pytest.mark.parametrize("content", [b"", b"half of it", b"[1]", b'{"process": 1}'])
def test_a_holder_that_has_not_signed_is_refused_too(tmp_path, content):
    with hold(tmp_path) as process:
        (tmp_path / "training" / "lock").write_bytes(content)
        with pytest.raises(UsageError, match=f"{tmp_path} is in training already; wait until it ends"):
            refuse_folder_in_training(tmp_path)
        process.kill()


def test_where_there_are_no_locks_training_goes_on_without(tmp_path, monkeypatch):
    def flock(file, how):
        raise OSError(95, "Operation not supported")

    with monkeypatch.context() as patch:
        patch.setattr(sys, "platform", "win32")
        with lock_folder(tmp_path / "a"):
            assert not (tmp_path / "a").exists()
    monkeypatch.setattr(folder_lock.fcntl, "flock", flock)
    train(language_model(), Windows(), tmp_path / "b", epochs=1)
    assert not (tmp_path / "b" / "training" / "lock").exists()
