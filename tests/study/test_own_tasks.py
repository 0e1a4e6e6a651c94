"""Tasks from outside the package, trained and scored: the examples of docs/own-data.md, in YAML and by entry point."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml

from xstilts.analysis.report import build, write
from xstilts.config.load import load_recipe
from xstilts.config.recipe import Recipe
from xstilts.core.errors import UserError
from xstilts.data.progress import Reporter
from xstilts.study.open import open_study
from xstilts.study.run import run_study
from xstilts.tasks import find_task, registry
from xstilts.tasks.plugins import load_plugins

MakeRecipe = Callable[..., Recipe]

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "own-data.md").read_text(encoding="utf-8")
BLOCKS = {language: re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL) for language in ("yaml", "python", "toml")}
TRAINING = {"steps": 60, "batch_size": 8, "lr": 1e-2}
QUESTION = {
    "ask": "Do reviews help?",
    "contrasts": {"H1": {"arm": "reviews", "against": "none"}},
    "targets": ["hotel_reviews"],
    "languages": ["eng_Latn"],
    "estimand": "these_languages",
    "matters": 1.0,
}
NO_DROPOUT = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}


@pytest.fixture(autouse=True)
def registered() -> Iterator[None]:
    """Forgets what a test has registered."""
    before = dict(registry._TASKS)
    yield
    registry._TASKS.clear()
    registry._TASKS.update(before)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A recipe and a task as the page has them, over a tiny model, and the task's files: `z` is in every bad review."""
    (tmp_path / "reviews.yaml").write_text(BLOCKS["yaml"][0], encoding="utf-8")
    for split, size in (("train", 40), ("test", 10)):
        for code in ("en", "swa"):
            rows = "".join(f'"{("z " if i % 2 else "k ") * (1 + i % 5)}",{2 - i % 2}\n' for i in range(size))
            path = tmp_path / "reviews" / f"{split}-{code}.csv"
            path.parent.mkdir(exist_ok=True)
            path.write_text("review,stars\n" + rows, encoding="utf-8")
    return tmp_path


def write_recipe(folder: Path, made: Recipe) -> Path:
    values = made.model_dump(mode="json", include={"name", "data", "model", "runtime"}, exclude_defaults=True)
    values |= yaml.safe_load(BLOCKS["yaml"][1]) | {"training": TRAINING, "question": QUESTION}
    values["model"]["config"] |= NO_DROPOUT
    path = folder / "recipe.yaml"
    path.write_text(yaml.safe_dump(values), encoding="utf-8")
    return path


def reported(run_dir: Path) -> str:
    """The report, as a process makes it that has not read the recipe."""
    registry._TASKS.pop("hotel_reviews", None)
    _, markdown = write(build([run_dir]), run_dir)
    return re.sub(" +", " ", markdown.read_text(encoding="utf-8"))


@pytest.mark.usefixtures("one_rank")
def test_a_task_in_yaml(folder: Path, recipe: MakeRecipe) -> None:
    path = write_recipe(folder, recipe())
    study = open_study(load_recipe(str(path)), folder / "run", device="cpu")
    rows = run_study(study)
    assert [(row.arm, row.task, row.language, row.metric, row.num_examples) for row in rows] == [
        (arm, "hotel_reviews", language, "accuracy", 10)
        for arm in ("none", "reviews")
        for language in ("eng_Latn", "swh_Latn")
    ]
    assert all(row.value == 100 and row.majority == 50 for row in rows)  # one letter tells the two apart
    report = reported(folder / "run")
    assert "Do reviews help?" in report and "| hotel_reviews | test | accuracy | reviews | 2 | 100.00 |" in report
    predictions = study.workspace.submission("none", 0) / "hotel_reviews" / "test-sw.tsv"
    assert set(predictions.read_text().split()) == {"bad", "good"}

    def stages(*changes: tuple[str, str]) -> set[str]:
        task = folder / "reviews.yaml"
        before = text = task.read_text(encoding="utf-8")
        for old, new in changes:
            assert old in text
            text = text.replace(old, new)
        task.write_text(text, encoding="utf-8")
        found = {s.id for s in open_study(load_recipe(str(path)), folder / "run", device="cpu").graph.stages()}
        task.write_text(before, encoding="utf-8")
        return found

    ours = {stage.id for stage in study.graph.stages()}
    assert stages() == ours
    assert stages(("name: hotel_reviews", "name: hotel_reviews\ntitle: Reviews")) == ours
    assert stages(("languages: {en: en, sw: swa}", "languages: {en: en}")) == ours
    assert not stages(("{1: bad, 2: good}", "{1: good, 2: bad}")) & ours


def test_workers_know_the_tasks_of_files(folder: Path, recipe: MakeRecipe) -> None:
    from rich.console import Console

    from xstilts.data.prepare import prepare
    from xstilts.study.sources import sources_of
    from xstilts.study.workspace import Workspace, open_catalogue

    made = load_recipe(str(write_recipe(folder, recipe())), [f"data.cache={folder / 'cache'}"])
    parts = sources_of(made)
    with Reporter(len(parts), Console(quiet=True)) as reporter:
        done = prepare(open_catalogue(made, Workspace(folder / "run")), parts, 2, reporter)
    assert [(prepared.part.task, prepared.num_examples) for prepared in done] == [
        ("hotel_reviews", number) for number in (40, 10, 10)
    ]


def test_mistakes_in_what_a_recipe_says_of_task_files(folder: Path, recipe: MakeRecipe) -> None:
    path = write_recipe(folder, recipe())
    line = path.read_text().splitlines().index("- reviews.yaml") + 1
    with pytest.raises(
        UserError, match=r"override 'tasks=\[reviewz.yaml\]': no task file .*/reviewz.yaml; mend the path"
    ):
        load_recipe(str(path), ["tasks=[reviewz.yaml]"])
    (folder / "copy.yaml").write_text(BLOCKS["yaml"][0], encoding="utf-8")
    path.write_text(path.read_text().replace("- reviews.yaml", "- reviews.yaml\n- copy.yaml"))
    with pytest.raises(UserError, match=rf"recipe.yaml:{line + 1}: .*copy.yaml and .*reviews.yaml both define task"):
        load_recipe(str(path))
    (folder / "copy.yaml").write_text(BLOCKS["yaml"][0].replace("hotel_reviews", "xnli"), encoding="utf-8")
    with pytest.raises(UserError, match="task 'xnli' is there already; give this one another name"):
        load_recipe(str(path))
    (folder / "copy.yaml").write_text(BLOCKS["yaml"][0].replace("accuracy", "acuracy"), encoding="utf-8")
    with pytest.raises(UserError, match=r"copy.yaml:10: metric: .* did you mean 'accuracy'"):
        load_recipe(str(path))
    (folder / "reviews" / "test-swa.csv").unlink()
    (folder / "copy.yaml").write_text(BLOCKS["yaml"][0].replace("hotel", "copied"), encoding="utf-8")
    with pytest.raises(UserError, match=rf"no file reviews/test-swa.csv below {folder}; put it there"):
        open_study(load_recipe(str(path)), folder / "run", device=None)


@pytest.fixture
def distribution(tmp_path: Path) -> Path:
    """A folder with an installed distribution as the page makes it."""
    root = tmp_path / "site"
    (root / "my_tasks").mkdir(parents=True)
    (root / "my_tasks" / "__init__.py").touch()
    (root / "my_tasks" / "tweets.py").write_text(BLOCKS["python"][0], encoding="utf-8")
    info = root / "my_tasks-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: my-tasks\nVersion: 1.0\n")
    (group, line) = BLOCKS["toml"][0].strip().splitlines()
    assert group == '[project.entry-points."xstilts.tasks"]'
    (info / "entry_points.txt").write_text(f"[xstilts.tasks]\n{line.replace(chr(34), '')}\n")
    return root


@pytest.mark.usefixtures("one_rank")
def test_a_task_by_entry_point(
    distribution: Path, world: Path, recipe: MakeRecipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(distribution)
    load_plugins()
    assert find_task("tweets").title == "Tweets"
    for split, size in (("train", 40), ("test", 10)):
        for code in ("en", "sw"):
            path = world / "tweets" / f"{split}-{code}.tsv"
            path.parent.mkdir(exist_ok=True)
            path.write_text("".join(f"{1 + i % 5}\t{'z z' if i % 5 > 2 else 'k k'}\n" for i in range(size)))
    model = recipe().model.model_copy(update={"config": recipe().model.config | NO_DROPOUT})
    made = recipe(model=model, pretraining=[], arms={"none": []}, targets={"tweets": {"training": TRAINING}})
    rows = run_study(open_study(made, tmp_path / "run", device="cpu"))
    assert [(row.task, row.language, row.value) for row in rows] == [
        ("tweets", "eng_Latn", 100),
        ("tweets", "swh_Latn", 100),
    ]
    assert "| tweets | test | accuracy | none | 2 | 100.00 |" in reported(tmp_path / "run")


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("import nothing_of_that_name", "ModuleNotFoundError: No module named 'nothing_of_that_name'"),
        (BLOCKS["python"][0].replace('"tweets"', '"xnli"'), "AssertionError: task 'xnli' is registered twice"),
    ],
)
def test_a_broken_plug_in_is_one_line_that_names_it(distribution: Path, code: str, reason: str) -> None:
    (distribution / "my_tasks" / "tweets.py").write_text(code)
    start = (
        f"import sys; sys.path.insert(0, {str(distribution)!r}); from xstilts import cli; sys.exit(cli.main(['tasks']))"
    )
    done = subprocess.run([sys.executable, "-c", start], capture_output=True, text=True, check=False, cwd=ROOT / "src")
    told = f"error: plug-in 'tweets' of my-tasks: cannot import my_tasks.tweets ({reason}); mend or uninstall it"
    assert (done.returncode, done.stderr.splitlines()) == (2, [told])
