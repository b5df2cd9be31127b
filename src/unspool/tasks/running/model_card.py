"""Model card: the README of a model folder, with scores, data, training and limits."""

from __future__ import annotations

from collections.abc import Mapping

from unspool.errors import counted
from unspool.tasks.running.model_folder import Record

__all__ = ["model_card"]


def model_card(record: Record, summary: str, name: str) -> str:
    """Return the README of a model folder, in Markdown."""
    settings = record.settings.get("training", {})
    lines = [
        "---",
        "library_name: unspool",
        f"tags: [unspool, {record.task}]",
        "---",
        "",
        f"# {name}",
        "",
        f"{summary} Trained with Unspool {record.versions.get('unspool', '')}: {record.network.get('summary', '')}.",
        "",
        "## Use",
        "",
        f"    echo 'your text' | unspool predict {name} -",
        f"    unspool inspect {name} 'your text'",
        "",
        *(_pruned(record) if record.pruned else _scores(record)),
        "## Data",
        "",
        *(_data_line(part, facts) for part, facts in record.data.items()),
        "",
        "## Training",
        "",
        f"Seed {settings.get('seed')}, {counted(record.training.get('epochs', 0), 'epochs')}, "
        f"{counted(record.training.get('updates', 0), 'updates')} "
        f"in {record.training.get('seconds', 0) / 60:.1f} minutes "
        f"on {record.versions.get('machine', 'an unknown machine')}, torch {record.versions.get('torch', '')}. "
        f"Every setting stands in `unspool.json`.",
        "",
        "## Limits",
        "",
        "The model knows what its training data showed it. Texts of another kind, language or time may get worse "
        "answers, and whatever is one-sided in the data is one-sided in the model.",
        "",
    ]
    return "\n".join(lines)


def _scores(record: Record) -> list[str]:
    return [
        "## Scores",
        "",
        *_table({**record.metrics, **{f"baseline: {key}": value for key, value in record.baselines.items()}}),
        "",
        f"Baselines are scored on the {'test' if 'test' in record.metrics else 'validation'} data.",
        "",
    ]


def _pruned(record: Record) -> list[str]:
    """Return the section on units that were pruned, which takes the place of the scores of the training."""
    units, scores = record.pruned.get("units", ()), record.pruned.get("scores", {})
    files = ", ".join(f"`{path}`" for path in record.pruned.get("test", ())) or "data in memory"
    on = [f"Scores on {files}:", "", *_table({f"{when} pruning": scores[when] for when in scores}), ""]
    return [
        "## Pruned",
        "",
        f"Pruned after training: {', '.join(f'`{line}`' for line in units)}. "
        f"{counted(record.pruned.get('weights', 0), 'weights')} are zero, so that these units are zero at every step.",
        "",
        *(on if scores else ["The pruned model has not been scored.", ""]),
    ]


def _table(rows: Mapping[str, Mapping[str, float]]) -> list[str]:
    names = list(dict.fromkeys(name for scores in rows.values() for name in scores))
    head = f"| on | {' | '.join(names)} |"
    rule = f"|---|{'---:|' * len(names)}"
    body = [
        f"| {on} | {' | '.join(f'{scores[name]:.4g}' if name in scores else '' for name in names)} |"
        for on, scores in rows.items()
    ]
    return [head, rule, *body]


def _data_line(part: str, facts: Mapping[str, object]) -> str:
    paths = facts.get("paths")
    origin = (
        ", ".join(f"`{path}`" for path in paths)
        if isinstance(paths, list) and paths
        else "in memory"
        if facts.get("in_memory")
        else "held out of the training data"
    )
    counts = ", ".join(
        counted(value, key) for key, value in facts.items() if isinstance(value, int) and not isinstance(value, bool)
    )
    sha = facts.get("sha256")
    return f"- {part}: {counts}; {origin}" + (f" (sha256 `{str(sha)[:16]}…`)" if sha else "")
