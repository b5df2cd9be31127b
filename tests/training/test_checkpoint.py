import os

import pytest
import torch
from safetensors import safe_open
from torch import nn

from unspool.errors import CellError, MachineError, ModelFolderError
from unspool.training import checkpoint


def tensors() -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    return {
        "plain": torch.randn(3, 5),
        "turned": torch.randn(4, 7).t(),
        "scalar": torch.tensor(2.5, dtype=torch.float64),
        "empty": torch.zeros(0, 3),
        "half": torch.randn(3, dtype=torch.bfloat16),
        "sixteen": torch.randn(5, dtype=torch.float16),
        "count": torch.tensor([2**40 + 1, -3]),
        "bytes": torch.arange(7, dtype=torch.uint8),
        "yes": torch.tensor([True, False, True]),
        "small": torch.arange(3, dtype=torch.int32),
    }


def test_what_is_written_is_read_by_us_and_by_safetensors(tmp_path):
    path, expected = tmp_path / "deep" / "file.safetensors", tensors()
    record = {"text": 'ä\n"', "nan": float("inf"), "list": [1, None, 0.1 + 0.2]}
    checkpoint.write(path, expected, record)
    read, actual = checkpoint.read(path)
    assert actual == record
    assert read.keys() == expected.keys()
    for name, tensor in expected.items():
        assert read[name].dtype == tensor.dtype
        assert torch.equal(read[name], tensor), name
    with safe_open(path, framework="np") as file:
        assert file.get_tensor("turned").tolist() == expected["turned"].tolist()
    assert [entry.name for entry in path.parent.iterdir()] == ["file.safetensors"]


def test_a_failed_write_keeps_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "file.safetensors"
    checkpoint.write(path, {"a": torch.ones(2)}, {})
    before = path.read_bytes()
    with pytest.raises(CellError, match="a is complex128, which a model folder can't hold"):
        checkpoint.write(path, {"a": torch.ones(2, dtype=torch.complex128)}, {})
    monkeypatch.setattr(os, "fsync", lambda _: (_ for _ in ()).throw(OSError(28, "No space left on device")))
    with pytest.raises(MachineError, match=r"file.safetensors: the disk is full"):
        checkpoint.write(path, {"a": torch.zeros(2)}, {})
    assert path.read_bytes() == before
    assert [entry.name for entry in tmp_path.iterdir()] == ["file.safetensors"]


def test_a_folder_that_is_a_file_is_a_sentence(tmp_path):
    (tmp_path / "file").write_text("here")
    with pytest.raises(MachineError, match="can't be written"):
        checkpoint.write(tmp_path / "file" / "x.safetensors", {"a": torch.ones(1)}, {})


def test_a_missing_file_and_a_foreign_one_are_named(tmp_path):
    with pytest.raises(ModelFolderError, match="no such file"):
        checkpoint.read(tmp_path / "nothing.safetensors")
    from safetensors.torch import save_file

    save_file({"a": torch.ones(1)}, tmp_path / "foreign.safetensors")
    with pytest.raises(ModelFolderError, match="damaged, or not a checkpoint of Unspool"):
        checkpoint.read(tmp_path / "foreign.safetensors")


def test_tied_weights_are_written_once_and_unsaved_buffers_never():
    model = nn.Sequential(nn.Embedding(4, 3), nn.Linear(3, 4), nn.BatchNorm1d(4))
    model[1].weight = model[0].weight
    model[1].register_buffer("passing", torch.ones(1), persistent=False)
    names = {"0.weight", "1.bias", "2.weight", "2.bias", "2.running_mean", "2.running_var", "2.num_batches_tracked"}
    assert checkpoint.weights(model).keys() == names


def test_weights_of_another_network_are_refused(tmp_path):
    model, path = nn.Linear(3, 2), tmp_path / "x"
    with pytest.raises(ModelFolderError, match="differ in bias"):
        checkpoint.load_weights(model, {"weight": torch.ones(2, 3)}, path)
    with pytest.raises(ModelFolderError, match=r"weight is \(3, 2\), the network's is \(2, 3\)"):
        checkpoint.load_weights(model, {"weight": torch.ones(3, 2), "bias": torch.ones(2)}, path)
    weight = model.weight
    checkpoint.load_weights(model, {"weight": torch.full((2, 3), 7.0), "bias": torch.ones(2)}, path)
    assert model.weight is weight
    assert model.weight.tolist() == [[7.0] * 3] * 2
