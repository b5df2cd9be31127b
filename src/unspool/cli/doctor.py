"""`unspool doctor`: versions, devices and optional packages of this machine."""

from __future__ import annotations

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from typing import Any

import click

from unspool.cli.talk import common, example, result, result_json

__all__ = ["doctor"]

_CORE = (
    "unspool",
    "torch",
    "numpy",
    "tokenizers",
    "safetensors",
    "click",
    "rich",
    "msgspec",
    "tomli-w",
    "sacrebleu",
    "llvmlite",
    "lazy-loader",
)
_EXTRAS = {  # module, package, purpose
    "dates": ("dateparser", "dateparser", "reads dates and times in other languages than English"),
    "audio": ("soundfile", "soundfile", "reads .flac, .ogg and .mp3 files"),
    "image": ("PIL", "Pillow", "reads image files"),
    "parquet": ("pyarrow", "pyarrow", "reads .parquet files"),
    "yaml": ("yaml", "PyYAML", "reads questions and answers in YAML"),
    "tensorboard": ("tensorboardX", "tensorboardX", "writes the training log for TensorBoard"),
    "tune": ("optuna", "optuna", "searches settings"),
}


@click.command(epilog=example("unspool doctor --json"))
@click.option("--json", "as_json", is_flag=True, help="Write everything as one line of JSON.")
@common
def doctor(as_json: bool) -> None:
    """List the versions and devices of this machine, and the purpose of each missing extra."""
    versions = {name: _version(name) for name in _CORE}
    machine, extras = _machine(), {extra: find_spec(module) is not None for extra, (module, *_) in _EXTRAS.items()}
    python = f"Python {platform.python_version()} on {platform.platform()}"
    if as_json:
        result_json({"python": python, "versions": versions, **machine, "extras": extras})
        return
    lines = [python, *(f"{name:12} {installed}" for name, installed in versions.items()), ""]
    lines += [f"{name:12} {_listed(value)}" for name, value in machine.items()]
    result("\n".join([*lines, "", *map(_extra_line, _EXTRAS)]))


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        if name == "unspool":
            from unspool import __version__

            return f"{__version__} (not installed)"
        return "missing"


def _machine() -> dict[str, Any]:
    import torch
    import torch.distributed as dist

    from unspool.engine.cpu.codegen.target import host_target

    tiles = ", AMX" if host_target().tiled else ""
    devices = [f"cpu ({torch.backends.cpu.get_cpu_capability()}{tiles})"]
    for index in range(torch.cuda.device_count()):
        facts = torch.cuda.get_device_properties(index)
        devices.append(f"cuda:{index} ({facts.name}, {facts.total_memory / 2**30:.0f} GiB)")
    if torch.backends.mps.is_available():
        devices.append("mps")
    backends = {"gloo": dist.is_gloo_available, "nccl": dist.is_nccl_available} if dist.is_available() else {}
    return {
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "threads": torch.get_num_threads(),
        "devices": devices,
        "torchrun": [name for name, is_available in backends.items() if is_available()],
    }


def _listed(value: Any) -> str:
    return ", ".join(value) or "none" if isinstance(value, list) else str(value)


def _extra_line(extra: str) -> str:
    module, package, what = _EXTRAS[extra]
    if find_spec(module) is not None:
        return f"{extra:12} {package} {_version(package)}: {what}"
    return f"{extra:12} missing; it {what}: pip install -c constraints.txt '.[{extra}]'"
