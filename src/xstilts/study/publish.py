"""What a study has found, put where it is looked for: rows in one file, predictions as submissions, their labels."""

from __future__ import annotations

import filecmp
import shutil
from pathlib import Path

from xstilts.core.atomic import replace_folder, scratch_beside, write_whole
from xstilts.distributed import dist
from xstilts.evaluation.items import SUFFIX
from xstilts.evaluation.rows import OTHER_RESULTS, Row, write_rows
from xstilts.study.graph import Leaf
from xstilts.study.study import Study
from xstilts.study.target_scores import ITEMS, write_target_labels


def publish_rows(study: Study) -> list[Row]:
    """Writes `results.jsonl` with the rows of every leaf that has been scored, and `selection.jsonl` with those under
    other rules of selection; by one rank."""
    rows = study.collect()
    write_rows(study.workspace.results, rows)
    if study.recipe.selection:
        write_rows(study.workspace.root / OTHER_RESULTS, study.collect_others())
    return rows


def publish_predictions(study: Study, leaf: Leaf) -> None:
    """Makes a scored leaf's predictions part of its arm's submission, writes their labels, and puts what metrics sum
    over items where it is looked for; by one rank."""
    predictions = study.evaluation(leaf) / "predictions" / leaf.target
    copy_folder(predictions, study.workspace.submission(leaf.arm, leaf.seed) / leaf.target)
    items = study.evaluation(leaf) / ITEMS / f"{leaf.target}{SUFFIX}"
    if items.is_file():  # what was scored before they were kept has none
        published = study.workspace.items(leaf.arm, leaf.seed) / items.name
        if not (published.is_file() and filecmp.cmp(items, published, shallow=False)):
            write_whole(published, items.read_bytes())
    dist.progress()
    write_target_labels(leaf, study.catalogue, study.workspace.labels)


def copy_folder(source: Path, target: Path) -> None:
    """Makes `target` hold the files of `source` and no others; nothing is done where it does.

    Copies, since links are nothing in an archive, and not every file system has hard ones. Arms may share an evaluation
    and then have each its own.
    """
    names = sorted(path.name for path in source.iterdir())
    if target.is_dir() and not target.is_symlink() and sorted(path.name for path in target.iterdir()) == names:
        same, _, _ = filecmp.cmpfiles(source, target, names)
        if same == names:
            return
    scratch = scratch_beside(target)
    shutil.rmtree(scratch, ignore_errors=True)
    shutil.copytree(source, scratch)
    replace_folder(target, scratch)


def remove_scratch(study: Study) -> None:
    """Removes what killed launches have left half copied; by one rank, after everything has been published."""
    for folder in ("labels", "predictions/*/*"):
        for left in study.workspace.root.glob(f"{folder}/.*.tmp"):
            shutil.rmtree(left, ignore_errors=True)
