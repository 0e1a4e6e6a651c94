"""Writes a world in the official on-disk forms of every dataset."""

from __future__ import annotations

from pathlib import Path

from xstilts.synthetic.bitext import write_bitext
from xstilts.synthetic.choice import write_choice
from xstilts.synthetic.folder import Folder
from xstilts.synthetic.inference import write_inference
from xstilts.synthetic.paraphrase import write_paraphrase
from xstilts.synthetic.reading import write_reading
from xstilts.synthetic.settings import World
from xstilts.synthetic.tagging import write_tagging
from xstilts.synthetic.tokenizer import write_tokenizer


def write_world(world: World, root: Path) -> None:
    """Writes the nine intermediates in English; text and target datasets in every language; a tokenizer.

    The layout is the one that the readers in `xstilts.tasks` expect below a data root; equal worlds give equal bytes.
    """
    folder = Folder(world, root)
    write_bitext(folder)
    write_inference(folder)
    write_paraphrase(folder)
    write_reading(folder)
    write_choice(folder)
    write_tagging(folder)
    write_tokenizer(folder)
