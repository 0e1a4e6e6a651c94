"""The only stage of a cell's recipe, in a folder that is empty but for the recipe."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import yaml

from xstilts.config.load import load_recipe
from xstilts.distributed import dist
from xstilts.study.graph import Stage
from xstilts.study.open import open_study
from xstilts.study.study import Study


def open_stage(given: dict[str, Any]) -> tuple[Path, Study, Stage]:
    """Its folder, its study and itself; inside the process group."""
    folder = Path(given["folder"])
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    path = folder / "recipe.yaml"
    path.write_text(yaml.safe_dump(given["recipe"], sort_keys=False), encoding="utf-8")
    study = open_study(load_recipe(str(path), []), folder / "run", device=dist.device().type)
    (stage,) = study.missing()
    return folder, study, stage
