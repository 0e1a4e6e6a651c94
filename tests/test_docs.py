"""Every command of README and docs is one that the program takes, and the tutorial's files are what they say."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from xstilts import cli
from xstilts.config.load import load_recipe
from xstilts.tasks import find_task, registry

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]


def commands(page: Path) -> Iterator[str]:
    """What is typed: lines of blocks, and code within lines, that hold `train.py COMMAND`, `deepspeed` or `make`."""
    text = page.read_text(encoding="utf-8").replace("\\\n", " ")
    typed = [line[4:] for line in text.splitlines() if line.startswith("    ")]
    for block in re.findall(r"```sh\n(.*?)```", text, re.DOTALL):
        typed += block.splitlines()
    prose = re.sub(r"```.*?```", "", text, flags=re.DOTALL)
    typed += re.findall(r"`([^`\n]+)`", prose)
    for line in typed:
        command = re.sub(r"\s+#.*", "", line).strip()
        if re.match(r"(\w+=\S+ )*(python3? |deepspeed |\S*train\.py \S|make )", command) and "..." not in command:
            yield command


ALL = sorted({(page.name, command) for page in PAGES for command in commands(page)})


@pytest.fixture(autouse=True)
def registered() -> Iterator[None]:
    """Forgets the tasks of files."""
    before = dict(registry._TASKS)
    yield
    registry._TASKS.clear()
    registry._TASKS.update(before)


def words_of(command: str) -> list[str]:
    """The words after `train.py`; what stands for something is something."""
    command = re.sub(r"\$\(.*\)", "FOLDER", command)
    words = shlex.split(re.sub(r"\[(--)?[\w -]+\]", "", command))
    place = next((i for i, word in enumerate(words) if word.endswith("train.py")), None)
    assert place is not None, command
    return words[place + 1 :]


def test_there_is_something_to_look_at() -> None:
    assert len(ALL) > 60
    assert {name for name, _ in ALL} >= {"README.md", "tutorial.md", "failures.md", "clusters.md"}


@pytest.mark.parametrize(("page", "command"), [each for each in ALL if "train.py " in each[1]])
def test_a_command_is_understood(page: str, command: str) -> None:
    words = words_of(command)
    if words[1:] in ([], ["--launcher", "openmpi"]):  # prose that names a command
        with pytest.raises(SystemExit) as ended:
            cli.parse([words[0], "--help"])
        assert ended.value.code == 0
        return
    options = cli.parse(words)
    if ranks := getattr(options, "arguments", None):
        assert cli.parse(ranks).runs_on_ranks
    if "deepspeed " in command:
        assert options.runs_on_ranks, command
        for option in re.findall(r"--\w+", command.partition("train.py")[0]):
            assert option in ("--quiet", "--num_gpus", "--hostfile", "--module")
    hostfile = getattr(options, "hostfile", None)
    assert hostfile is None or str(hostfile) == "H" or (ROOT / hostfile).is_file()


@pytest.mark.parametrize(("page", "command"), [each for each in ALL if each[1].startswith("make ")])
def test_a_target_of_make_is_there(page: str, command: str) -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    (target,) = [word for word in shlex.split(command)[1:] if "=" not in word]
    assert re.search(rf"^(\.PHONY:|proof-\S+|\S+)?.*\b{re.escape(target)}\b.*:", makefile, re.MULTILINE), target


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_files_that_are_named_are_there(page: Path) -> None:
    named = set(re.findall(r"\b(?:docker|hostfiles|slurm|ds_configs|benchmarks|recipes)/[\w./-]+\w", page.read_text()))
    for name in named:
        assert (ROOT / name).exists() or (ROOT / "src" / "xstilts" / name).exists(), f"{page.name} names {name}"


def test_the_tutorials_files(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "tutorial.md").read_text(encoding="utf-8")
    for _, name, content in re.findall(r"```(python|yaml)\n# (\S+)\n(.*?)```", page, re.DOTALL):
        (tmp_path / name).write_text(content, encoding="utf-8")
    subprocess.run([sys.executable, "make_reviews.py"], cwd=tmp_path, check=True, timeout=60)
    recipe = load_recipe(str(tmp_path / "study.yaml"))
    assert list(recipe.arms) == ["none", "films"] and len(recipe.seeds) == 5
    scored = ("hotel_reviews", "test", ("eng_Latn", "swh_Latn"))
    for name, split, languages in (scored, ("film_reviews", "train", ("eng_Latn",))):
        task = find_task(name)
        for language in languages:
            layout, source = task.locate(tmp_path, split, language)
            examples = list(layout.read(source))
            assert len(examples) in (100, 400) and {example.label for example in examples} == {"good", "bad"}
