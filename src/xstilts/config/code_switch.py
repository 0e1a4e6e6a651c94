"""Words of a text in another language."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import Field

from xstilts.config.base import Section, Share


class CodeSwitch(Section):
    """Words replaced by translations, for the masked-language-model head to restore."""

    dictionary: Path = Field(examples=["dictionaries/en-sw.txt"])
    """File below the recipe's folder, one pair a line: a word of the text, a tab or (as in MUSE) a space, a
    translation; of several lines for a word one is drawn. Its content, not its path, is in the stage's id."""
    rate: Annotated[Share, Field(gt=0)] = Field(examples=[0.3])
    """Share of the words that are replaced if the dictionary has them. Drawn once for the stage: every epoch reads the
    same. At the pieces of a translation the head predicts those of the word, `<mask>` standing where it has fewer; what
    makes the example longer than it was is cut off its end. All other pieces are masked as ever."""
