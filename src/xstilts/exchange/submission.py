"""`train.py submit`: one arm's predictions as the archive that XTREME takes (Hu et al. 2020).

It has a folder for each task, and in it `test-<language>.<suffix>`; all of a suite's or none.
"""

from __future__ import annotations

import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from xstilts.core.errors import UserError, did_you_mean
from xstilts.evaluation.rows import read_rows
from xstilts.study.provenance import read_run
from xstilts.study.workspace import Workspace
from xstilts.tasks import find_task
from xstilts.tasks.suites import Suite
from xstilts.xtreme.submission import code_of, path_of

_BEGINNING = (1980, 1, 1, 0, 0, 0)
"""The time of every file in an archive: equal predictions make equal archives."""


def submit(run_dir: Path, arm: str, seed: int, suite: Suite, to: Path | None) -> tuple[Path, int]:
    """Writes the archive, whole or not at all; returns where, without `to` below the run, and how many files it has.

    Raises:
        UserError: the run has no such arm or seed, or a task, a language or a part of a test set is missing.
    """
    workspace = Workspace(run_dir)
    folder = workspace.submission(arm, seed)
    if not folder.is_dir():
        known = sorted(str(path.relative_to(run_dir / "predictions")) for path in run_dir.glob("predictions/*/seed*"))
        raise UserError(f"{run_dir} has no predictions of {arm}/seed{seed}; {did_you_mean(f'{arm}/seed{seed}', known)}")
    if missing := [*_absent(folder, suite), *_cut(run_dir, arm, seed, suite)]:
        raise UserError(
            f"{folder}: not all of {suite.title}: missing {'; '.join(missing)}. "
            f"Run a recipe with these as targets, `languages: {suite.name}` and without max_examples"
        )
    files = [path_of(folder, find_task(task), key) for task, keys in suite.tasks.items() for key in keys]
    path = to or run_dir / "submissions" / f"{suite.name}-{arm}-seed{seed}.zip"
    temporary = path.with_name(f".{path.name}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        _write(temporary, folder, files)
        temporary.replace(path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise UserError.at(path, None, f"cannot be written ({error.strerror or error})", "give another --to") from None
    return path, len(files)


def _write(path: Path, folder: Path, files: Sequence[Path]) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        for file in files:
            entry = zipfile.ZipInfo(file.relative_to(folder).as_posix(), _BEGINNING)
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, file.read_bytes())


def _absent(folder: Path, suite: Suite) -> Iterator[str]:
    """Tasks and languages without a file."""
    for name, languages in suite.tasks.items():
        absent = [code_of(key) for key in languages if not path_of(folder, find_task(name), key).is_file()]
        if absent:
            yield name if len(absent) == len(languages) else f"{name} in {' '.join(absent)}"


def _cut(run_dir: Path, arm: str, seed: int, suite: Suite) -> Iterator[str]:
    """Test sets of which only a part was predicted: the recipe says so, or there are fewer than in the release."""
    run = read_run(run_dir)
    targets = run.settings.recipe["targets"] if run else {}
    limited = {name: target["max_examples"] for name, target in targets.items() if target["max_examples"] is not None}
    yield from (f"{name} behind the first {limit} examples" for name, limit in limited.items() if name in suite.tasks)
    results = Workspace(run_dir).results
    for row in read_rows(results) if results.is_file() else ():
        if (row.arm, row.seed, row.split) != (arm, seed, "test") or row.task not in suite.tasks or not row.primary:
            continue
        task = find_task(row.task)
        official = task.num_examples.get((row.split, row.language)) if task.kind.trainable else None
        if row.task not in limited and official is not None and row.num_examples < official:
            yield f"{row.task} in {code_of(row.language)}, of which {row.num_examples} of {official} are there"
