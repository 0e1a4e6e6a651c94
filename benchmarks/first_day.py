"""The demo, docs/tutorial.md and README, typed word by word in a fresh copy; writes what happened as a page.

python benchmarks/first_day.py > benchmarks/first_day.md             `make demo` makes the environment: minutes
python benchmarks/first_day.py --copy FOLDER ...                     in a copy where `make setup` was typed already
python benchmarks/first_day.py --with PYTHON --encoder FOLDER ...    takes the environment and the encoder from there

Of README the block below "From there to a cluster" is typed, on the demo and on this one host (`STANDS_FOR`, and
hostfiles/two_nodes, which names `localhost slots=2`).
"""

from __future__ import annotations

import argparse
import os
import platform
import re
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
Done = tuple[str, int, float, str]
"""What was typed, its exit code, seconds, and all that it printed."""
DEMO = "DS_ACCELERATOR=cpu deepspeed --quiet --num_gpus 2 train.py run demo"
STANDS_FOR = {
    "[NAME]": "xnli",
    "[KEY]": "training.lr",
    "RECIPE": "demo",
    "OTHER": "demo",
    "stages/ID": 'stages/$(grep -l \'^ "label": "tags"\' runs/demo/stages/*/stage.json | head -1 | cut -d/ -f4)',
    "--to DIR": "--to exported",
    "import CHECKPOINT --task mnli --to exported": "import exported --task ccg --to imported",
    "ARM": "tags",
    "seed0": "seed1",
    "--seed 0": "--seed 1",
    "--lanes 16": "--lanes 2",
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--with", dest="python", type=Path, help="python of an environment that is there")
    parser.add_argument("--copy", type=Path, help="a fresh copy that is there; `--with` and this exclude each other")
    parser.add_argument("--encoder", type=Path, help="folder of the encoder that `make encoder` makes")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="xstilts-first-day-") as folder:
        copy = options.copy.absolute() if options.copy else Path(folder) / "xstilts"
        if not options.copy:
            subprocess.run(["git", "clone", "-q", str(ROOT), str(copy)], check=True)
        environment = {
            name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "OMP_NUM_THREADS")
        }
        environment["TERM"] = "dumb"
        python = options.python.absolute() if options.python else copy / ".venv" / "bin" / "python"
        environment["PATH"] = f"{python.parent}{os.pathsep}{environment['PATH']}"
        if options.python:
            environment["TORCH_EXTENSIONS_DIR"] = str(python.parents[1] / "torch_extensions")
        if options.encoder:
            (copy / "runs").mkdir(exist_ok=True)
            (copy / "runs" / "encoder").symlink_to(options.encoder.absolute())
        done: list[Done] = []
        typed = [
            (DEMO if options.python else "make demo", copy),
            *([] if options.encoder else [("make encoder", copy)]),
        ]
        try:
            for command, place in chain(typed, _of_tutorial(copy), _of_readme(copy)):
                done.append(_run(command, place, environment))
        except KeyboardInterrupt:
            print("stopped: the page has what was done", file=sys.stderr)
        done = [(command, code, seconds, said.replace(str(copy), "xstilts")) for command, code, seconds, said in done]
        print(_page(done, empty=options.python is None))
    return 0 if all(code == 0 for _, code, _, _ in done) else 1


def _of_tutorial(place: Path) -> Iterator[tuple[str, Path]]:
    """Its commands, and the folder that each is typed in; files are written when they are come to."""
    page = (place / "docs" / "tutorial.md").read_text(encoding="utf-8")
    for language, body in re.findall(r"```(sh|python|yaml)\n(.*?)```", page, re.DOTALL):
        if language != "sh":
            name, _, content = body.partition("\n")
            (place / name.removeprefix("# ")).write_text(content, encoding="utf-8")
            continue
        for command in body.splitlines():
            if command.startswith("cd "):
                place = place / command.removeprefix("cd ")
            elif not command.startswith(". "):  # PATH has the environment
                yield command, place


def _of_readme(place: Path) -> Iterator[tuple[str, Path]]:
    """The commands of its block, with what stands for something."""
    (place / "hostfiles" / "two_nodes").write_text("localhost slots=2\n", encoding="utf-8")
    page = (place / "README.md").read_text(encoding="utf-8")
    block = page.partition("## From there to a cluster")[2].partition("`RECIPE` is")[0]
    for line in block.splitlines():
        command = re.sub(r"\s+#.*", "", line).strip()
        for name, value in STANDS_FOR.items():
            command = command.replace(name, value)
        if line.startswith("    ") and not command.startswith(". "):
            yield command, place


def _run(command: str, place: Path, environment: dict[str, str]) -> Done:
    if command.startswith("tensorboard "):
        return _board(command, place, environment)
    begun = time.monotonic()
    done = subprocess.run(
        ["bash", "-c", command], cwd=place, env=environment, text=True, check=False, stdout=-1, stderr=subprocess.STDOUT
    )
    seconds = time.monotonic() - begun
    print(f"$ {command}\n{done.stdout}\n== exit {done.returncode}, {seconds:.1f} s", file=sys.stderr, flush=True)
    return command, done.returncode, seconds, done.stdout


def _board(command: str, place: Path, environment: dict[str, str]) -> Done:
    """TensorBoard ends never: until its page is served."""
    begun = time.monotonic()
    board = subprocess.Popen(
        ["bash", "-c", f"exec {command}"], cwd=place, env=environment, text=True, stdout=-1, stderr=subprocess.STDOUT
    )
    served = False
    while not served and board.poll() is None and time.monotonic() - begun < 120:
        time.sleep(0.5)
        try:
            with urllib.request.urlopen("http://localhost:6006/", timeout=5) as answer:
                served = answer.status == 200
        except (urllib.error.URLError, TimeoutError):
            pass
    seconds = time.monotonic() - begun
    board.terminate()
    said, _ = board.communicate(timeout=60)
    print(f"$ {command}\n{said}\n== exit {int(not served)}, {seconds:.1f} s", file=sys.stderr, flush=True)
    return command, int(not served), seconds, said


def _page(done: list[Done], empty: bool) -> str:
    lines = [
        "# The first day",
        "",
        "The demo and [the tutorial](../docs/tutorial.md), typed word by word in a fresh copy by "
        "`python benchmarks/first_day.py`" + (", `make demo` making the environment." if empty else " --with ..."),
        'Then, of README, the block "From there to a cluster", on the demo; `hostfiles/two_nodes` named this host with '
        "two slots. What was unclear, what it looks like and what was mended: [looks.md](looks.md).",
        "",
        f"- {time.strftime('%Y-%m-%d')}, Python {platform.python_version()}, {os.cpu_count()} CPU cores, "
        f"load {os.getloadavg()[2]:.0f} from this and other work over the last quarter of an hour",
        f"- {sum(seconds for _, _, seconds, _ in done) / 60:.1f} minutes in all; "
        f"{sum(code != 0 for _, code, _, _ in done)} of {len(done)} commands ended with an exit code that is not 0",
        "",
        "| typed | seconds | exit | lines | longer than 80 |",
        "|---|---|---|---|---|",
    ]
    for command, code, seconds, output in done:
        said = output.splitlines()
        long = sum(len(line) > 80 for line in said)
        typed = command.replace("|", "\\|")
        lines.append(f"| `{typed}` | {seconds:.1f} | {code} | {len(said)} | {long} |")
    for command, code, _, output in done:
        if code:
            lines += ["", f"Exit {code} of `{command}`:", "", "```text", *output.splitlines()[-8:], "```"]
        elif " run " in command or "make demo" in command:
            lines += ["", f"The end of `{command}`:", "", "```text", *output.splitlines()[-18:], "```"]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
