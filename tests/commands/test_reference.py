"""`explain`, `tasks`, `--version`, and help: all of it fits 80 columns, and nothing goes unexplained."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import pytest

import xstilts
from xstilts import cli
from xstilts.config.reference import keys
from xstilts.tasks import all_tasks


@pytest.fixture(autouse=True)
def terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")


def said(capsys: pytest.CaptureFixture[str], *arguments: str) -> list[str]:
    assert cli.main(arguments) == 0
    lines = capsys.readouterr().out.splitlines()
    longest = max(len(word) for line in lines for word in line.split())
    assert all(len(line) <= max(80, longest + 16) for line in lines)
    return lines


def test_a_key(capsys: pytest.CaptureFixture[str]) -> None:
    assert said(capsys, "explain", "batch_size") == [
        "training.batch_size",
        "  Examples in a step, over all ranks.",
        "  type     whole number (examples)",
        "  default  32",
        "  example  batch_size: 32",
    ]


def test_all_keys(capsys: pytest.CaptureFixture[str]) -> None:
    lines = said(capsys, "explain")
    assert [line for line in lines if not line.startswith(" ")] == [key.path for key in keys()]
    assert lines[lines.index("runtime.log_every") + 1] == "    Steps between progress lines [1]"


def test_an_unknown_key_or_task_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["explain", "batchsize"]) == 2
    assert "did you mean 'batch_size'?" in capsys.readouterr().err
    assert cli.main(["tasks", "afrixnly"]) == 2
    assert "unknown task 'afrixnly'; did you mean 'afrixnli'?" in capsys.readouterr().err


def test_all_tasks(capsys: pytest.CaptureFixture[str]) -> None:
    lines = said(capsys, "tasks")
    assert [line.split()[0] for line in lines[::2]] == [task.name for task in all_tasks()]
    entry = lines.index("  MasakhaNER 2.0: tag_f1")
    assert lines[entry - 1].split("  ")[0] == "masakhaner2"
    assert lines[entry - 1].endswith("tagging  20 languages  trained by panx")


def test_a_group(capsys: pytest.CaptureFixture[str]) -> None:
    lines = said(capsys, "tasks", "africa")
    assert [line.split()[0] for line in lines[::2]] == [task.name for task in all_tasks("africa")]


@pytest.mark.parametrize("name", [task.name for task in all_tasks()])
def test_a_task(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    text = "\n".join(said(capsys, "tasks", name))
    task = next(task for task in all_tasks() if task.name == name)
    wanted = [task.title, task.kind.name, *task.languages, *task.metrics, *(task.labels or ())]
    for layout in task.layouts:
        wanted += [path for paths in layout.paths.values() for path in (paths[0], paths[-1])]
    assert [word for word in wanted if word not in text.replace("\n", " ") and word not in text] == []


def test_a_task_says_what_its_languages_are_called_and_how_many_examples_there_are(
    capsys: pytest.CaptureFixture[str],
) -> None:
    lines = said(capsys, "tasks", "afrixnli")
    assert "    gaz_Latn  orm  Oromo        dev 450, test 600" in lines
    assert "  trained by  English mnli" in lines
    assert "    test      afrixnli/{code}/test.tsv" in lines


def test_a_task_file(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    path = tmp_path / "own.yaml"
    path.write_text(
        "name: own\nkind: tagging\nform: conll\nfields: {words: 1, tags: 2}\nmetric: tag_f1\nlanguages: [en, swa]\n"
        "files: {train: 'train-{code}', test: 'test-{code}'}\n"
    )
    lines = said(capsys, "tasks", str(path))
    assert lines[0] == "own: own" and "    swh_Latn  swa  Swahili" in lines
    assert "  trained by  its own English training data" in lines and "    test      test-{code}" in lines
    path.write_text(path.read_text().replace("tag_f1", "tagf1"))
    assert cli.main(["tasks", str(path)]) == 2
    assert f"{path}:5: metric: tagging tasks are not scored by 'tagf1'; " in capsys.readouterr().err


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        cli.main(["--version"])
    assert end.value.code == 0
    assert capsys.readouterr().out.split()[-1] == xstilts.__version__


def _options(parser: argparse.ArgumentParser) -> Iterator[tuple[str, argparse.Action]]:
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for sub in action.choices.values():
                yield from _options(sub)
        else:
            yield parser.prog, action


def test_every_option_has_help() -> None:
    bare = [f"{where} {action.dest}" for where, action in _options(cli._parser()) if not action.help]
    assert bare == []
