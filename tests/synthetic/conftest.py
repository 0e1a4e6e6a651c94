"""One small world, written once for all tests of this folder."""

from __future__ import annotations

from pathlib import Path

import pytest

from xstilts.synthetic import World, write_world

WORLD = World(
    seed=7,
    languages={"qaa_Latn": 0.2, "qab_Cyrl": 0.5, "qac_Ethi": 0.9},
    num_train=900,
    num_dev=300,
    num_test=60,
    num_text=300,
    num_bitext=60,
)


@pytest.fixture(scope="session")
def world() -> World:
    return WORLD


@pytest.fixture(scope="session")
def world_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("world")
    write_world(WORLD, root)
    return root
