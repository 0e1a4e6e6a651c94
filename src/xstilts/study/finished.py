"""Whether a run directory holds all of a study, so that another launch of it has nothing to do."""

from __future__ import annotations

from pathlib import Path

from xstilts.config.deepspeed import load_deepspeed_config
from xstilts.config.recipe import Recipe
from xstilts.core.errors import StorageError, UserError
from xstilts.core.exit_codes import EXIT_OK
from xstilts.core.redaction import redact
from xstilts.study.provenance import read_run
from xstilts.study.software import source_digest
from xstilts.study.study import Study


def was_finished(recipe: Recipe, run_dir: Path) -> bool:
    """Whether the last launch of the run directory has come to the end of this very study, with this source; from what
    that launch said of itself, so that it costs nothing to ask."""
    try:
        run = read_run(run_dir)
    except (UserError, StorageError):
        return False
    if run is None or run.launches[-1].exit != EXIT_OK or run.launches[-1].source.digest != source_digest():
        return False
    deepspeed = load_deepspeed_config(recipe.runtime.deepspeed)
    told = run.settings.recipe, run.settings.deepspeed
    return told == (redact(recipe.model_dump(mode="json")), redact(deepspeed.values))


def is_finished(study: Study) -> bool:
    """Whether also everything is trained, scored and published, of the data as they are; by one rank."""
    if not was_finished(study.recipe, study.workspace.root) or study.missing() or not study.has_chosen:
        return False
    place = study.workspace
    return all(
        study.scored(leaf)
        and (place.submission(leaf.arm, leaf.seed) / leaf.target).is_dir()
        and (place.labels / leaf.target).is_dir()
        for leaf in study.graph.leaves
    )
