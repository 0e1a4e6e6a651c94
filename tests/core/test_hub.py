"""A hub that is out of reach is noticed once, and a folder that is not there is no hub id."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import datasets
import huggingface_hub
import pytest
from huggingface_hub import constants

from xstilts.core import hub
from xstilts.core.errors import UserError


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """The addresses that were asked for, of a network that is not there."""
    addresses: list[str] = []

    class Session:
        def head(self, address: str, **options: Any) -> None:
            addresses.append(address)
            raise ConnectionError("Name or service not known")

    monkeypatch.setattr(huggingface_hub, "get_session", Session)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", False)
    monkeypatch.setenv("HF_HUB_OFFLINE", "0")
    hub.connect.cache_clear()
    yield addresses
    hub.connect.cache_clear()


def test_it_is_asked_and_told_once(asked: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    for _ in range(3):
        assert hub.hub_id("model.pretrained", "owner/model") == "owner/model"
        assert hub.connect() == "the hub is out of reach: Name or service not known"
    assert asked == [constants.ENDPOINT]
    told = capsys.readouterr().err
    assert told.count("\n") == 1 and "HF_HUB_OFFLINE=1 spares the attempt" in told
    assert constants.is_offline_mode() and datasets.config.HF_HUB_OFFLINE and os.environ["HF_HUB_OFFLINE"] == "1"
    problem = str(hub.not_there("model.pretrained", "owner/model", OSError("a long story")))
    assert problem.startswith("model.pretrained: cannot fetch 'owner/model' (the hub is out of reach: Name or service")


def test_nobody_is_asked_where_the_user_says_so(asked: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert hub.connect() == "HF_HUB_OFFLINE is set"
    assert asked == []


@pytest.mark.parametrize("name", ["/nope", "./nope", "~/nope", "runs/nope/deeper"])
def test_a_folder_that_is_not_there(asked: list[str], name: str) -> None:
    with pytest.raises(UserError, match=f"^model.pretrained: there is no folder {name}; mend the path, or give a hub"):
        hub.hub_id("model.pretrained", name)
    assert asked == []
