"""The weights that a study starts from are read once on each host, and are the same on all."""

from __future__ import annotations

import hashlib
import os
import socket
from pathlib import Path
from typing import Any

import pytest
from launch import run_ranks

from xstilts.config.recipe import Data, Model, Recipe
from xstilts.core.errors import UserError
from xstilts.study.open import _pretrained_fingerprint
from xstilts.study.workspace import Workspace


def identify(run_dir: Path, folders: dict[str, Path]) -> tuple[str, int]:
    """What a rank takes for the identity of the weights in its host's folder, and how many files it has read for it."""
    host = socket.gethostname()
    recipe = Recipe.model_construct(model=Model(pretrained=str(folders[host])), data=Data.model_construct(cache=None))
    read: list[None] = []
    file_digest = hashlib.file_digest

    def counted(*arguments: Any) -> Any:
        read.append(None)
        return file_digest(*arguments)

    hashlib.file_digest = counted
    try:
        return _pretrained_fingerprint(recipe, Workspace(run_dir / host)), len(read)
    except UserError as error:
        return str(error), len(read)
    finally:
        hashlib.file_digest = file_digest


def identify_on_two_hosts(folder: Path) -> list[tuple[str, int]]:
    """Ranks 0 and 1 are on host a, ranks 2 and 3 on b, whose files differ at the third time."""
    host = "aabb"[int(os.environ["RANK"])]
    socket.gethostname = lambda: host
    same = {"a": folder / "weights", "b": folder / "weights"}
    other = {"a": folder / "weights", "b": folder / "others"}
    return [identify(folder / "run", folders) for folders in (same, same, other)]


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> list[list[tuple[str, int]]]:
    folder = tmp_path_factory.mktemp("hosts")
    for name in ("weights", "others"):
        (folder / name).mkdir()
        (folder / name / "config.json").write_text("{}")
        (folder / name / "model.safetensors").write_text(name)
    return run_ranks(identify_on_two_hosts, 4, folder)


def test_one_rank_of_a_host_reads_them_and_all_know(found: Any) -> None:
    (identity,) = {rank[0][0] for rank in found}
    assert len(identity) == 16
    assert [rank[0][1] for rank in found] == [2, 0, 2, 0]


def test_the_next_launch_reads_nothing(found: Any) -> None:
    assert [rank[1] for rank in found] == [(found[0][0][0], 0)] * 4


def test_other_weights_on_another_host_are_an_error_on_every_rank(found: Any) -> None:
    problem = "holds other weights on host b than on a; copy it there anew"
    assert all(rank[2][0].endswith(problem) for rank in found), found
