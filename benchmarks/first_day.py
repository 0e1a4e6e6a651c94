"""The demo and docs/tutorial.md, typed word by word in a fresh copy; writes what happened as a page.

python benchmarks/first_day.py > benchmarks/first_day.md             `make setup` and `make encoder` first: minutes
python benchmarks/first_day.py --with PYTHON --encoder FOLDER ...    takes the environment and the encoder from there
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
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
DEMO = "DS_ACCELERATOR=cpu deepspeed --quiet --num_gpus 2 train.py run demo"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--with", dest="python", type=Path, help="python of an environment that is there")
    parser.add_argument("--encoder", type=Path, help="folder of the encoder that `make encoder` makes")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="xstilts-first-day-") as folder:
        copy = Path(folder) / "xstilts"
        subprocess.run(["git", "clone", "-q", str(ROOT), str(copy)], check=True)
        page = (copy / "docs" / "tutorial.md").read_text(encoding="utf-8")
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "TERM": "dumb"}
        environment.pop("PYTHONPATH", None)
        python = options.python.absolute() if options.python else copy / ".venv" / "bin" / "python"
        environment["PATH"] = f"{python.parent}{os.pathsep}{environment['PATH']}"
        environment["TORCH_EXTENSIONS_DIR"] = str(python.parents[1] / "torch_extensions")
        before = [] if options.python else ["make setup"]
        if options.encoder:
            (copy / "runs").mkdir()
            (copy / "runs" / "encoder").symlink_to(options.encoder.absolute())
        else:
            before.append("make encoder")
        done = [_run(command, copy, environment) for command in [*before, DEMO]]
        place = copy
        for language, body in re.findall(r"```(sh|python|yaml)\n(.*?)```", page, re.DOTALL):
            if language != "sh":
                name, _, content = body.partition("\n")
                (place / name.removeprefix("# ")).write_text(content, encoding="utf-8")
                continue
            for command in body.splitlines():
                if command.startswith("cd "):
                    place = place / command.removeprefix("cd ")
                elif not command.startswith(". "):  # PATH has the environment
                    done.append(_run(command, place, environment))
        print(_page(done))
    return 0 if all(code == 0 for _, code, _, _ in done) else 1


def _run(command: str, place: Path, environment: dict[str, str]) -> tuple[str, int, float, str]:
    """The command, its exit code, seconds, and all that it printed."""
    begun = time.monotonic()
    done = subprocess.run(
        ["bash", "-c", command], cwd=place, env=environment, text=True, check=False, stdout=-1, stderr=subprocess.STDOUT
    )
    seconds = time.monotonic() - begun
    print(f"{done.returncode} {seconds:7.1f} s  {command}", file=sys.stderr, flush=True)
    if done.returncode:
        print(done.stdout[-3000:], file=sys.stderr, flush=True)
    return command, done.returncode, seconds, done.stdout


def _page(done: list[tuple[str, int, float, str]]) -> str:
    lines = [
        "# The first day",
        "",
        "The demo and [the tutorial](../docs/tutorial.md), typed word by word in a fresh copy by "
        "`python benchmarks/first_day.py`.",
        "",
        f"- {time.strftime('%Y-%m-%d')}, Python {platform.python_version()}, {os.cpu_count()} CPU cores, "
        f"load {os.getloadavg()[2]:.0f} from other work over the last quarter of an hour",
        f"- {sum(seconds for _, _, seconds, _ in done) / 60:.1f} minutes in all, "
        f"{sum(code != 0 for _, code, _, _ in done)} of {len(done)} commands failed",
        "",
        "| typed | seconds | exit | lines | of them longer than 80 |",
        "|---|---|---|---|---|",
    ]
    for command, code, seconds, output in done:
        said = output.splitlines()
        long = sum(len(line) > 80 for line in said)
        lines.append(f"| `{command}` | {seconds:.1f} | {code} | {len(said)} | {long} |")
    for command, _, _, output in done:
        if " run " in command:
            lines += ["", f"The end of `{command}`:", "", "```text", *output.splitlines()[-18:], "```"]
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
