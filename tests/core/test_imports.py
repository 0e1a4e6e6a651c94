"""Imports without the collector, which comes back with their end."""

from __future__ import annotations

import gc

import pytest

from xstilts.core.imports import collector_off


def test_the_collector_is_off_inside_and_never_looks_at_what_was_made() -> None:
    frozen = gc.get_freeze_count()
    try:
        with collector_off():
            assert not gc.isenabled()
            made: list[list[int]] = [[] for _ in range(10_000)]
        assert gc.isenabled()
        assert gc.get_freeze_count() >= frozen + len(made)
    finally:
        gc.unfreeze()


def test_the_collector_comes_back_after_an_error() -> None:
    try:
        with pytest.raises(ImportError), collector_off():
            raise ImportError("no such module")
        assert gc.isenabled()
    finally:
        gc.unfreeze()
