"""What random corruption of a run's files does: checkpoints, weights, records, hostfiles.

    python benchmarks/corruption.py > benchmarks/corruption.md

Checkpoints are real, of 2 ranks at ZeRO-2. Every corruption is drawn from the seed and its number, done to a fresh
copy, and followed by what a launch would read. It loads wrongly when anything is read that is not, bit by bit, what was
written; any exception but the one-line error for users is a traceback. A hostfile has no digest: what is read of a
corrupted one is held against DeepSpeed's own reading of the same bytes.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import sys
import tempfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests" / "distributed"))

import legs
import page
import tiny
import torch
from deepspeed.launcher.runner import _parse_hostfile
from launch import run_ranks
from safetensors.torch import load_file

from xstilts.core.errors import UserError
from xstilts.core.sealed import read_sealed
from xstilts.distributed import dist
from xstilts.launch.hostfile import parse_hostfile
from xstilts.study.graph import DataPart
from xstilts.study.record import Origin, Record, read_record, write_record
from xstilts.training.checkpoint.format import Progress, best_path, checkpoints, find_latest, open_tensors, verify
from xstilts.training.checkpoint.saver import Saver
from xstilts.training.checkpoint.weights import save_weights
from xstilts.training.engine import Engine

CONFIG = (2, "fp32")
Dice = random.Random


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--number", type=int, default=10_000, help="of corruptions of each of the two groups")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="xstilts-corruption-") as name:
        folder = Path(name)
        truth = Truth(folder)
        groups = {"checkpoints, weights, record": truth.suffer, "hostfiles": lambda dice: suffer_hostfile(folder, dice)}
        rows = []
        for group, suffer in groups.items():
            outcomes: Counter[str] = Counter()
            for number in range(options.number):
                outcome = suffer(Dice(f"{options.seed} {group} {number}"))
                outcomes[outcome] += 1
                if outcome.startswith("wrong"):
                    print(f"{group} {number}: {outcome}", file=sys.stderr)
            rows.append(
                [group, *(outcomes[kind] for kind in KINDS), sum(n for k, n in outcomes.items() if k[:5] == "wrong")]
            )
    page.begin(f"{options.number:,} random corruptions of each kind of file", "python benchmarks/corruption.py")
    page.table(["files", *KINDS, "loaded wrongly or traceback"], rows)
    return int(any(row[-1] for row in rows))


KINDS = ("refused", "the one before taken", "none left", "same content read")


class Truth:
    """The files as they were written, and what they hold."""

    def __init__(self, folder: Path) -> None:
        world = folder / "tiny" / "world"
        tiny.make_world(world)
        tiny.catalogue(world)
        self.folder = folder / "pristine"
        self.shapes = run_ranks(write_files, 2, world, self.folder)[0]
        self.copy = folder / "copy"
        self.progress = {}
        self.tensors = {}
        for step, path in checkpoints(self.folder / "checkpoints").items():
            self.progress[step] = verify(path)
            self.tensors[step] = {name: read() for name, read in open_tensors(path, self.shapes).items()}
        self.best = {step: load_file(best_path(self.folder / "checkpoints", step)) for step in self.progress}
        self.weights = read_sealed(self.folder / "weights.safetensors", "")
        self.record = read_record(self.folder)

    def suffer(self, dice: Dice) -> str:
        shutil.rmtree(self.copy, ignore_errors=True)
        shutil.copytree(self.folder, self.copy)
        files = sorted(path for path in self.copy.rglob("*") if path.is_file())
        corrupt(dice.choice(files), files, dice)
        try:
            return self.read()
        except Exception as error:
            return f"wrong: {type(error).__name__}: {error}"

    def read(self) -> str:
        """As a launch would: the record and weights of a finished stage, the checkpoints of an unfinished one."""
        try:
            record = read_record(self.copy)
            weights = read_sealed(self.copy / "weights.safetensors", "train it again", record.weights)
            refused = False
        except UserError as error:
            if "\n" in str(error):
                return "wrong: more than a line"
            refused = True
        if not refused and not (record == self.record and equal(weights, self.weights)):
            return "wrong: weights or record"
        said: list[str] = []
        found = find_latest(self.copy / "checkpoints", said.append)
        if any("\n" in message for message in said):
            return "wrong: more than a line"
        if found is None:
            return "none left"
        path, progress = found
        read = {name: read() for name, read in open_tensors(path, self.shapes).items()}
        if progress != self.progress.get(progress.step) or not equal(read, self.tensors[progress.step]):
            return "wrong: checkpoint"
        best = load_file(best_path(path.parent, progress.best_step))
        if not equal(best, self.best[progress.best_step]):
            return "wrong: best weights"
        if said or progress.step != max(self.progress):
            return "the one before taken"
        return "refused" if refused else "same content read"


def write_files(world: Path, folder: Path) -> dict[str, tuple[int, ...]]:
    """Runs in both ranks: two checkpoints with their best weights, and a finished stage."""
    loader = legs.make_loader(world, 1)
    engine = Engine(tiny.model(world, tiny.ALL_HEADS), loader.training, tiny.deepspeed_json(*CONFIG))
    saver = Saver(folder / "checkpoints", keep=2)
    for step in (1, 2):
        legs.take_steps(engine, loader, step - 1, step)
        best = save_weights(best_path(folder / "checkpoints", step), engine)
        saver.save(engine, Progress(step=step, best_score=40.0 + step, best_step=step, best_weights=best, plan="plan"))
    digest = save_weights(folder / "weights.safetensors", engine)
    shapes = tiny.shapes(engine.model)
    encoder = json.loads(json.dumps(engine.model.encoder.config.to_dict()))
    engine.close()
    labels = {"mnli": ["a", "b", "c"]}
    data = [DataPart("mnli", "train", "eng_Latn", 60, "ab")]
    origin = Origin("0f", {"id": "ba"}, [], {"tasks": ["mnli"]}, 1, None, "fp32", {}, data)
    record = Record("mixed", ["mnli"], labels, 0, "0", encoder, "abc", 2, 2, "best_dev", 42.0, digest, origin)
    dist.on_first_rank(lambda: write_record(folder, record))
    return shapes


def equal(found: dict[str, torch.Tensor], expected: dict[str, torch.Tensor]) -> bool:
    return found.keys() == expected.keys() and all(torch.equal(found[name], expected[name]) for name in expected)


def corrupt(path: Path, files: list[Path], dice: Dice) -> None:
    """One accident of those that disks, copies and people have."""
    content = bytearray(path.read_bytes())
    start = dice.randrange(len(content))
    # Half of the accidents befall the beginning, where the structure is.
    start = start if dice.random() < 0.5 else dice.randrange(min(len(content), 2000))
    end = min(len(content), start + dice.choice((1, 2, 8, 512, 4096)))

    def flip_bit() -> None:
        content[start] ^= 1 << dice.randrange(8)

    def garbage() -> None:
        content[start:end] = dice.randbytes(end - start)

    def zeros() -> None:
        content[start:end] = bytes(end - start)

    def cut() -> None:
        del content[start:]

    def lose() -> None:
        del content[start:end]

    def repeat() -> None:
        content[start:start] = content[start:end]

    def lengthen() -> None:
        content.extend(dice.randbytes(dice.choice((1, 4096))))

    def digit() -> None:
        places = [i for i, byte in enumerate(content[:100_000]) if 48 <= byte <= 57]
        content[dice.choice(places or [start])] = dice.randrange(48, 58)

    def other_file() -> None:
        content[:] = dice.choice(files).read_bytes()

    def take_away() -> None:
        path.unlink()

    def rename() -> None:
        path.rename(path.with_name(dice.choice(files).name + dice.choice(("", ".old"))))

    def rename_folder() -> None:
        name = f"step-{dice.choice((0, 3, 4, 10**8 + 1)):08d}{dice.choice(('', 'x'))}"
        if path.parent.parent.name == "checkpoints":
            path.parent.rename(path.parent.with_name(name))

    deeds: list[Callable[[], None]] = [flip_bit, garbage, zeros, cut, lose, repeat, lengthen, digit, other_file]
    deeds += [take_away, rename, rename_folder]
    deed = dice.choice(deeds)
    deed()
    if path.exists() and deed in deeds[:9]:
        path.write_bytes(content)


HOSTFILE = b"""# two nodes of the cluster
node-01.example.org slots=8
10.0.0.7    slots=04   # the old one

node_3 slots=16
"""


def suffer_hostfile(folder: Path, dice: Dice) -> str:
    path = folder / "hostfile"
    path.write_bytes(HOSTFILE)
    for _ in range(dice.choice((1, 1, 1, 3))):
        if path.exists() and path.stat().st_size:
            corrupt(path, [path], dice)
    try:
        hosts = {host.name: host.slots for host in parse_hostfile(path)}
    except UserError as error:
        return "refused" if "\n" not in str(error) else "wrong: more than a line"
    except Exception as error:
        return f"wrong: {type(error).__name__}: {error}"
    with path.open(encoding="utf-8-sig") as lines:
        theirs = dict(_parse_hostfile(lines))
    return "same content read" if hosts == theirs else f"wrong: {hosts} where DeepSpeed reads {theirs}"


if __name__ == "__main__":
    sys.exit(main())
