from __future__ import annotations

import pytest
from pydantic import ValidationError

from xstilts.config.runtime import Runtime


@pytest.mark.parametrize(("count", "world_size"), [(None, 7), (8, 8), (16, 8), (8, 1)])
def test_every_rank_has_something_to_do(count: int | None, world_size: int) -> None:
    assert Runtime(micro_batches_per_step=count).idle_ranks(world_size) is None


@pytest.mark.parametrize(("count", "world_size", "share", "fitting"), [(8, 16, "50%", 16), (8, 3, "11%", 9)])
def test_empty_forwards_are_said_with_the_number_to_set(count: int, world_size: int, share: str, fitting: int) -> None:
    problem = Runtime(micro_batches_per_step=count).idle_ranks(world_size)
    assert problem is not None
    assert f"{share} of their forwards are empty; set runtime.micro_batches_per_step={fitting}," in problem


def test_what_is_compiled_is_told_of_no_new_shapes() -> None:
    with pytest.raises(ValidationError, match=r"runtime.compile needs runtime.attention: varlen; rectangles of new"):
        Runtime(compile=True)
    Runtime(compile=True, attention="varlen")
