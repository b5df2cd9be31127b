"""`unspool doctor`: versions, devices and extras."""

import json


def test_doctor_lists_versions_devices_and_extras(shell):
    import torch

    record = json.loads(shell("doctor", "--json").stdout)
    assert record["versions"]["torch"].startswith(torch.__version__.partition("+")[0])
    assert record["devices"][0].startswith("cpu")
    assert set(record["extras"]) == {"audio", "dates", "image", "parquet", "tensorboard", "tune", "yaml"}


def test_doctor_says_how_to_get_what_is_missing(shell, monkeypatch):
    import unspool.cli.doctor as module

    monkeypatch.setattr(module, "find_spec", lambda name: None)
    assert "missing; it reads .parquet files: pip install -c constraints.txt '.[parquet]'" in shell("doctor").stdout
