"""The run directory: where everything of a study lies."""

from __future__ import annotations

import errno
import fcntl
import os
import socket
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from xstilts.config.recipe import Recipe
from xstilts.core.errors import UserError
from xstilts.data.catalogue import Catalogue
from xstilts.study.graph import Stage
from xstilts.synthetic import write_world
from xstilts.text.tokenizer import Tokenizer, find_tokenizer

_SECONDS_TO_END = 10.0
"""Time for which a run that was just killed may still be there."""

_claimed: dict[Path, TextIO] = {}
"""Lock files of this process: closing one would unlock it."""


@dataclass(frozen=True)
class Workspace:
    """Folders of a run."""

    root: Path

    def stage(self, stage_id: str) -> Path:
        return self.root / "stages" / stage_id

    def evaluation(self, key: str) -> Path:
        """`results.jsonl` and `predictions/<task>/`; arms that share the weights share it."""
        return self.root / "evaluations" / key

    def submission(self, arm: str, seed: int) -> Path:
        """One arm's predictions for every target, in XTREME's submission layout."""
        return self.root / "predictions" / arm / f"seed{seed}"

    @property
    def labels(self) -> Path:
        """What all predictions of the run are scored against, in the same layout."""
        return self.root / "labels"

    def tensorboard(self, stage: Stage) -> Path:
        return self.root / "tensorboard" / f"{stage.label}-seed{stage.seed}-{stage.id}"

    @property
    def world(self) -> Path:
        return self.root / "world"

    @property
    def results(self) -> Path:
        return self.root / "results.jsonl"

    def make(self) -> None:
        try:
            self.root.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UserError(
                f"cannot make the run directory {self.root} ({error.strerror}); give another --run-dir"
            ) from None

    def claim(self) -> None:
        """Takes the directory for this process until it ends, however that happens: two runs would remove each other's
        unfinished checkpoints."""
        self.make()
        path = self.root.resolve() / ".lock"
        if path in _claimed:
            return
        try:
            stream = path.open("a+", encoding="utf-8")
        except OSError as error:
            raise UserError.at(path, None, f"cannot be written ({error.strerror})", "give another --run-dir") from None
        deadline = time.monotonic() + _SECONDS_TO_END
        while not _lock(stream):
            if time.monotonic() > deadline:
                stream.seek(0)
                holder = stream.read().strip() or "another process"
                raise UserError(f"{self.root} is in use by {holder}; wait until that ends, or give another --run-dir")
            time.sleep(0.2)
        stream.truncate(0)
        print(f"process {os.getpid()} on {socket.gethostname()}", file=stream, flush=True)
        _claimed[path] = stream


def _lock(stream: TextIO) -> bool:
    """A record lock, which works over NFS and, unlike `flock`, is not kept alive by forked children."""
    try:
        fcntl.lockf(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        return error.errno not in (errno.EACCES, errno.EAGAIN)  # a file system without locks lets everybody in
    return True


def cache_folder(recipe: Recipe, workspace: Workspace) -> Path:
    """Where features, and the checksums of what was read, are kept."""
    return recipe.data.cache or workspace.root / "cache"


def open_catalogue(recipe: Recipe, workspace: Workspace, kind: type[Catalogue] = Catalogue) -> Catalogue:
    """The study's data; generates the artificial world first where the recipe asks for one. Run by one rank first."""
    workspace.make()
    root = recipe.data.root
    if recipe.data.world is not None:
        root = workspace.world
        settings = recipe.data.world.model_dump_json()
        marker = root / "world.json"
        if not marker.exists() or marker.read_text(encoding="utf-8") != settings:
            write_world(recipe.data.world, root)
            marker.write_text(settings, encoding="utf-8")
    tokenizer = Tokenizer(find_tokenizer(recipe.model.tokenizer, recipe.model.pretrained, root))
    return kind(recipe.data, root, cache_folder(recipe, workspace), tokenizer)
