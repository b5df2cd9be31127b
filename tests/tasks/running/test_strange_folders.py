"""Model folders from strangers: weights that are no numbers, networks that do not fit, links, and failed starts."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

import unspool
from unspool import Algorithm, Assistant, Classifier
from unspool.errors import DataError, DecodingError, MachineError, ModelFolderError, SettingError
from unspool.tasks.running import memory
from unspool.tasks.running.model_folder import read_record
from unspool.training import Reporter, checkpoint

TINY = {"hidden": 4, "embedding": 3, "epochs": 1, "device": "cpu", "seed": 1}


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    path = tmp_path_factory.mktemp("data") / "a.tsv"
    path.write_text("text\tlabel\n" + "fine film\tgood\ndull film\tbad\nvery fine\tgood\nvery dull\tbad\n" * 3)
    return path


@pytest.fixture(scope="module")
def sound(tmp_path_factory, data):
    folder = tmp_path_factory.mktemp("models") / "m"
    Classifier(**TINY).fit(data, out=folder, reporter=Reporter(), baselines=False)
    return folder


@pytest.fixture
def folder(sound, tmp_path):
    shutil.copytree(sound, tmp_path / "m")
    return tmp_path / "m"


def going_on(data: Path, folder: Path) -> Classifier:
    return Classifier(**TINY).fit(data, out=folder, resume=True, reporter=Reporter())


def spoil_weights(path: Path, name: str, value: float, *, record: dict | None = None) -> None:
    tensors, before = checkpoint.read(path)
    tensors = {key: tensor.clone() for key, tensor in tensors.items()}
    tensors[name].view(-1)[-1] = value
    checkpoint.write(path, tensors, before if record is None else record)


@pytest.mark.parametrize(("value", "what"), [(float("nan"), "not a number"), (float("inf"), "an infinite value")])
def test_weights_that_are_not_finite_are_refused(folder, value, what):
    name = sorted(load_file(folder / "model.safetensors"))[-1]
    spoil_weights(folder / "model.safetensors", name, value)
    with pytest.raises(ModelFolderError, match=rf"model.safetensors: weight '{name}' holds .*{what}"):
        unspool.load(folder)


def test_buffers_and_complex_weights_count_too(tmp_path):
    fine = {"weight": torch.ones(2, 3), "steps": torch.ones(2, dtype=torch.int64), "empty": torch.ones(0)}
    checkpoint.refuse_not_finite(fine, tmp_path)
    for odd in (
        torch.tensor([1.0, float("-inf")]),
        torch.tensor([complex(1, float("nan"))]),
        torch.full((2,), float("nan")).half(),
    ):
        with pytest.raises(ModelFolderError, match="weight 'mask' holds"):
            checkpoint.refuse_not_finite({**fine, "mask": odd}, tmp_path)


@pytest.mark.parametrize("prefix", ["weights/", "average/"])
def test_a_training_does_not_go_on_from_weights_that_are_not_finite(data, tmp_path, prefix):
    settings = {**TINY, "average": "ema"}
    Classifier(**settings).fit(data, out=tmp_path / "m", reporter=Reporter(), baselines=False)
    path = tmp_path / "m" / "training" / "checkpoint.safetensors"
    name = next(key for key in load_file(path) if key.startswith(prefix))
    spoil_weights(path, name, float("nan"))
    before = path.read_bytes()
    with pytest.raises(ModelFolderError, match=rf"checkpoint.safetensors: weight '{name.removeprefix(prefix)}' holds"):
        Classifier(**settings).fit(data, out=tmp_path / "m", resume=True, reporter=Reporter())
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    "content", [b"\xff" * 4096, b"\x00" * 4096, b"", b"\xff", (8).to_bytes(8, "little") + b"[[[[[[[["]
)
@pytest.mark.parametrize("file", ["model.safetensors", "training/checkpoint.safetensors"])
def test_weights_that_are_other_bytes(folder, data, file, content):
    (folder / file).write_bytes(content)
    use = (lambda: unspool.load(folder)) if file == "model.safetensors" else lambda: going_on(data, folder)
    with pytest.raises(ModelFolderError, match=f"{Path(file).name}: damaged"):
        use()


def test_a_record_of_a_checkpoint_that_is_nested_without_end(folder, data):
    path = folder / "training" / "checkpoint.safetensors"
    content = path.read_bytes()
    size = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + size])
    header["__metadata__"]["unspool"] = "[" * 100_000
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + content[8 + size :])
    with pytest.raises(ModelFolderError, match="damaged"):
        Classifier(**TINY).fit(data, out=folder, resume=True, reporter=Reporter())


def test_weights_of_another_type_are_refused(folder):
    tensors, record = checkpoint.read(folder / "model.safetensors")
    name = sorted(tensors)[0]
    checkpoint.write(folder / "model.safetensors", {**tensors, name: tensors[name].to(torch.int32)}, record)
    with pytest.raises(ModelFolderError, match=rf"weight '{name}' is torch.int32, expected torch.float32"):
        unspool.load(folder)


def test_an_output_that_is_not_finite_is_no_prediction(folder):
    tensors, record = checkpoint.read(folder / "model.safetensors")
    huge = {name: torch.full_like(tensor, 3e38) for name, tensor in tensors.items()}
    checkpoint.write(folder / "model.safetensors", huge, record)
    with pytest.raises(DecodingError, match="text 1: the network's output is not finite"):
        unspool.load(folder).predict(["fine film"])


# ---- memory ----------------------------------------------------------------------------------------------------


def test_a_model_that_does_not_fit_is_refused_before_its_weights_are_read(folder, monkeypatch):
    monkeypatch.setattr(memory, "available_memory", lambda: 100.0)
    read = checkpoint.read
    weights = folder / "model.safetensors"
    monkeypatch.setattr(
        checkpoint, "read", lambda path: pytest.fail("the weights were read") if path == weights else read(path)
    )
    with pytest.raises(
        MachineError, match=r"the network of .*/m needs 0 MiB of memory, and this machine has 0 MiB free"
    ):
        unspool.load(folder)


@pytest.mark.parametrize("length", [{"epochs": 1}, {"minutes": 1}], ids=str)
def test_a_training_that_does_not_fit_is_refused_before_its_network_is_built(data, tmp_path, length):
    settings = {**TINY, "hidden": 65_536, "layers": 64, **length}
    with pytest.raises(
        MachineError, match=r"training [\d,]{12,} weights needs [\d,.]+ GiB of memory, and this machine"
    ):
        Classifier(**settings).fit(data, out=tmp_path / "m", reporter=Reporter())
    assert not (tmp_path / "m").exists()


@pytest.mark.parametrize(
    ("name", "value", "part"),
    [
        ("hidden", 65_536, "has shape"),
        ("layers", 60, "lacks weight"),
        ("hidden", 10**9, "at most"),
        ("layers", 10**9, "at most"),
    ],
)
def test_a_record_that_describes_an_enormous_network(folder, name, value, part):
    record = json.loads((folder / "unspool.json").read_text())
    record["settings"]["network"][name] = value
    (folder / "unspool.json").write_text(json.dumps(record))
    with pytest.raises(ModelFolderError, match=part):
        unspool.load(folder)


def test_a_header_that_claims_more_than_the_file_holds(folder):
    path = folder / "model.safetensors"
    content = path.read_bytes()
    size = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + size])
    name = sorted(key for key in header if key != "__metadata__")[0]
    header[name] |= {"shape": [1 << 40], "data_offsets": [0, 1 << 42]}
    text = json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + content[8 + size :])
    with pytest.raises(ModelFolderError, match=r"model\.safetensors: damaged"):
        unspool.load(folder)


def test_free_memory_is_the_least_of_machine_group_and_limit(tmp_path, monkeypatch):
    (tmp_path / "meminfo").write_text("MemTotal: 9000 kB\nMemAvailable:    5000 kB\n")
    monkeypatch.setattr(memory, "_MEMINFO", tmp_path / "meminfo")
    monkeypatch.setattr(memory, "_GROUPS", tmp_path)
    monkeypatch.setattr(memory, "_of_process", list)
    assert memory.available_memory() == 5000 * 1024
    (tmp_path / "memory.max").write_text("max\n")
    (tmp_path / "memory.current").write_text("1000000\n")
    assert memory.available_memory() == 5000 * 1024
    (tmp_path / "memory.max").write_text("3000000\n")
    assert memory.available_memory() == 2_000_000
    (tmp_path / "memory.stat").write_text("anon 5\ninactive_file 400000\n")
    assert memory.available_memory() == 2_400_000
    monkeypatch.setattr(memory, "_of_process", lambda: [1000])
    assert memory.available_memory() == 1000


# ---- links, and what stands where files were ---------------------------------------------------------------------

PARTS = ["unspool.json", "model.safetensors", "vocabulary/vocabulary.json", "vocabulary/vocabulary.meta.json"]
PARTS += ["vocabulary/labels.json"]


@pytest.mark.parametrize("part", PARTS)
@pytest.mark.parametrize("instead", ["link", "zero", "folder", "pipe", "loop"])
def test_every_file_of_a_folder_must_be_one(folder, tmp_path, part, instead):
    path = folder / part
    path.rename(tmp_path / "outside")
    {
        "link": lambda: path.symlink_to(tmp_path / "outside"),
        "zero": lambda: path.symlink_to("/dev/zero"),
        "folder": path.mkdir,
        "pipe": lambda: os.mkfifo(path),
        "loop": lambda: path.symlink_to(path.name),
    }[instead]()
    with pytest.raises(ModelFolderError, match=path.name):
        unspool.load(folder)


def test_a_checkpoint_that_is_a_link_out_of_the_folder_is_not_read(folder, data, tmp_path):
    path = folder / "training" / "checkpoint.safetensors"
    path.rename(tmp_path / "outside")
    path.symlink_to(tmp_path / "outside")
    with pytest.raises(ModelFolderError, match="leads out of the model folder"):
        Classifier(**TINY).fit(data, out=folder, resume=True, reporter=Reporter())


@pytest.mark.parametrize("part", PARTS)
def test_links_inside_the_folder_are_followed(folder, sound, part):
    path = folder / part
    path.rename(folder / "moved")
    path.symlink_to(folder / "moved")
    assert unspool.load(folder).predict(["fine film"]) == unspool.load(sound).predict(["fine film"])


# ---- records -----------------------------------------------------------------------------------------------------

RECORDS = {
    "half a character in a setting": ({"settings": {"network": {"cell": "\ud800"}}}, "half of a surrogate pair"),
    "half a character elsewhere": ({"versions": {"torch": "\ud800"}}, "half of a surrogate pair"),
    "half a character in a name": ({"settings": {"\ud800": 1}}, "half of a surrogate pair"),
    "data that are a number": ({"data": {"train": 7}}, "damaged"),
    "paths that are a text": ({"data": {"train": {"paths": "a.tsv"}}}, "damaged"),
    "a network that is a list": ({"network": [1]}, "damaged"),
    "epochs that are a text": ({"training": {"epochs": "many"}}, "damaged"),
}


@pytest.mark.parametrize("name", RECORDS)
def test_records_of_another_shape(folder, name):
    changes, part = RECORDS[name]
    path = folder / "unspool.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))
    with pytest.raises(ModelFolderError, match=r"unspool\.json is damaged: ") as caught:
        read_record(folder)
    assert part in str(caught.value)
    assert str(caught.value).isprintable()


@pytest.mark.parametrize("name", ["cell", "network.cell", "format", "training.device"])
def test_half_a_character_in_a_setting_is_refused(name):
    with pytest.raises(SettingError, match=r"\\ud800.*: half of a surrogate pair"):
        Classifier(**{name: "\ud800"})


def test_a_file_name_that_is_no_utf8_can_be_trained_on(data, tmp_path):
    odd = os.fsdecode(os.fsencode(tmp_path / "caf") + b"\xe9.tsv")
    shutil.copyfile(data, odd)
    Classifier(**TINY).fit(odd, out=tmp_path / "m", reporter=Reporter(), baselines=False)
    assert read_record(tmp_path / "m").data["train"]["paths"] == [odd]
    assert "caf\\udce9.tsv" in (tmp_path / "m" / "README.md").read_text()


# ---- failed starts -----------------------------------------------------------------------------------------------


def test_an_empty_folder_survives_a_failed_start(tmp_path):
    (tmp_path / "a.tsv").write_text("text\tlabel\na\tx\nb\tx\nc\tx\n")
    (tmp_path / "mine").mkdir()
    for out in ("mine", "new"):
        with pytest.raises(DataError, match="1 label"):
            Classifier(**TINY).fit(tmp_path / "a.tsv", out=tmp_path / out, reporter=Reporter())
    assert (tmp_path / "mine").is_dir()
    assert list((tmp_path / "mine").iterdir()) == []
    assert not (tmp_path / "new").exists()


# ---- numbers as inputs -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", ["nan", "inf", "-inf", "1e39", "1e999"])
def test_numbers_that_are_not_finite_are_no_exercise(number):
    settings = {"cell": "gru", "hidden": 4, "epochs": 1, "device": "cpu", "examples": 16, "valid_examples": 4}
    adding = Algorithm(**settings, max_length=4).fit("adding", reporter=Reporter(), baselines=False)
    with pytest.raises(DataError, match=r"text 1: .*is no exercise of adding"):
        adding.predict([f"0.5* {number} 0.25*"])


def test_labels_that_are_not_finite_are_missing_values(tmp_path):
    pa = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    table = pa.table({"text": ["a", "b", "c"], "label": [1.0, float("nan"), 2.0]})
    parquet.write_table(table, tmp_path / "a.parquet")
    with pytest.raises(DataError, match="column 'label' is nan"):
        Classifier(**TINY).fit(tmp_path / "a.parquet", reporter=Reporter())


def test_weights_of_sixteen_bits_are_taken(folder):
    tensors, record = checkpoint.read(folder / "model.safetensors")
    checkpoint.write(folder / "model.safetensors", {k: v.to(torch.bfloat16) for k, v in tensors.items()}, record)
    assert unspool.load(folder).predict(["fine film"])[0].label in ("good", "bad")


def test_a_training_does_not_go_on_with_labels_that_the_data_contradict(folder, data):
    path = folder / "vocabulary" / "labels.json"
    path.write_text(path.read_text().replace('"bad"', '"worse"'))
    (folder / "training" / "checkpoint.safetensors").unlink()
    with pytest.raises(ModelFolderError, match=r"does not fit the training data: .*label 'bad' was not seen"):
        going_on(data, folder)


def test_a_setting_that_is_not_a_number_is_refused():
    with pytest.raises(SettingError, match="forget_bias = nan: expected a finite number"):
        Classifier(forget_bias=float("nan"))


def test_counts_that_can_not_be_are_damage(tmp_path):
    from unspool.data import NgramVocabulary

    NgramVocabulary.learn([["who are you"], ["what"]], [["a machine"], ["a film"]]).save(tmp_path)
    path = tmp_path / "ngrams.json"
    record = json.loads(path.read_text())
    for name in ("asked", "held"):
        path.write_text(json.dumps(record | {name: [3, *record[name][1:]]}))
        with pytest.raises(ModelFolderError, match=r"ngrams\.json: the vocabulary is damaged: an entry stands in more"):
            NgramVocabulary.load(tmp_path)


def test_a_checkpoint_whose_optimizer_has_other_shapes(folder, data):
    path = folder / "training" / "checkpoint.safetensors"
    tensors, record = checkpoint.read(path)
    name = next(key for key in tensors if key.endswith("/exp_avg"))
    checkpoint.write(path, {**tensors, name: tensors[name].reshape(-1)[:1].clone()}, record)
    with pytest.raises(ModelFolderError, match=r"exp_avg of weight \d+ has shape \(1,\), expected"):
        going_on(data, folder)


@pytest.mark.parametrize("part", ["state", "settings", "random", "metric", "batches", "format"])
@pytest.mark.parametrize("value", [[], "lstm", None], ids=str)
def test_a_checkpoint_whose_record_has_other_types(folder, data, part, value):
    path = folder / "training" / "checkpoint.safetensors"
    tensors, record = checkpoint.read(path)
    checkpoint.write(path, tensors, record | {part: value})
    with pytest.raises((ModelFolderError, SettingError)) as caught:
        going_on(data, folder)
    assert str(caught.value).isprintable()


def test_an_assistant_with_huge_weights_gives_no_answer(tmp_path):
    (tmp_path / "q.tsv").write_text("question\tanswer\nwho are you?\ta machine\nwhat is this?\ta film\n")
    assistant = Assistant(generator=False, epochs=1, device="cpu")
    assistant.fit(tmp_path / "q.tsv", out=tmp_path / "m", reporter=Reporter(), baselines=False)
    tensors, record = checkpoint.read(tmp_path / "m" / "model.safetensors")
    floats = {name for name, tensor in tensors.items() if tensor.is_floating_point()}
    huge = {name: torch.full_like(tensor, 3e38) if name in floats else tensor for name, tensor in tensors.items()}
    checkpoint.write(tmp_path / "m" / "model.safetensors", huge, record)
    with pytest.raises(DecodingError, match="the question: the network's output is not finite"):
        unspool.load(tmp_path / "m").predict(["who are you?"])
