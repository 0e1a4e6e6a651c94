"""Tasks as `train.py tasks` shows them: a list of all, and all that a user needs to know of one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from xstilts.tasks.languages import find_language
from xstilts.tasks.registry import Layout, Task

_MOST_PATHS = 5
"""Of a split that has more files than these, the first and the last are shown."""


def task_list(tasks: Iterable[Task]) -> str:
    """Two lines for each task: name, kind, number of languages and what trains it; title and metrics."""
    tasks = list(tasks)
    names, kinds = max(len(task.name) for task in tasks), max(len(task.kind.name) for task in tasks)
    blocks = []
    for task in tasks:
        number = f"{len(task.languages)} language{'' if len(task.languages) == 1 else 's'}"
        trained = f"trained by {task.trained_by}" if task.trained_by else "not trained"
        blocks.append(f"{task.name:<{names}}  {task.kind.name:<{kinds}}  {number:<12}  {trained}")
        blocks.append(f"  {task.title}: {', '.join(task.metrics) or 'not scored'}")
    return "\n".join(blocks)


def task_text(task: Task) -> str:
    """Kind, metrics, labels, files, hub, languages with the dataset's codes, and sizes where they are known."""
    return "\n".join([f"{task.name}: {task.title}", *_facts(task), *_files(task), *_languages(task)])


def _facts(task: Task) -> Iterator[str]:
    facts = {
        "kind": task.kind.name,
        "metrics": ", ".join(task.metrics) or "none: not scored",
        "labels": _labels(task),
        "groups": ", ".join(task.groups) or "none",
        "trained by": _trained_by(task),
        "longest": f"{task.max_length} tokens in a segment, unless data.max_length says otherwise",
        "official": task.origin or "not stated",
        "hub": _hub(task),
    }
    return (f"  {name:<10}  {fact}" for name, fact in facts.items())


def _labels(task: Task) -> str:
    if task.labels is not None:
        return ", ".join(task.labels)
    return "those of its training data" if task.kind.collects_labels else "none"


def _trained_by(task: Task) -> str:
    if task.trained_by is None:
        return "nothing: predicted from sentence embeddings"
    return "its own English training data" if task.trained_by == task.name else f"English {task.trained_by}"


def _hub(task: Task) -> str:
    if task.hub is None:
        return "not there"
    return "; ".join(f"{hub.path} at {hub.revision[:12]} ({', '.join(hub.splits)})" for hub in task.hub.parts())


def _files(task: Task) -> Iterator[str]:
    for number, layout in enumerate(task.layouts):
        yield f"  files below {layout.root or 'data.root'}:" if number == 0 else "  or, where these are not there:"
        yield from _splits(layout)


def _splits(layout: Layout) -> Iterator[str]:
    for split, paths in layout.paths.items():
        shown = paths if len(paths) <= _MOST_PATHS else (paths[0], "to", paths[-1])
        yield f"    {split:<8}  {' '.join(shown)}"


def _languages(task: Task) -> Iterator[str]:
    yield "  languages: key, the dataset's {code}, name, examples where the official number is known"
    codes = max(len(code) for code in task.languages.values())
    names = max(len(find_language(key).name) for key in task.languages)
    for key, code in task.languages.items():
        sizes = [f"{split} {size:,}" for (split, language), size in task.num_examples.items() if language == key]
        yield f"    {key}  {code:<{codes}}  {find_language(key).name:<{names}}  {', '.join(sizes)}".rstrip()
