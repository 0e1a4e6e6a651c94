"""A small world of related artificial languages in which the truth is known, written as official releases are."""

from xstilts.synthetic.settings import World
from xstilts.synthetic.write import write_world

__all__ = ["World", "write_world"]
