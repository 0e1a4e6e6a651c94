from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from xstilts.config.load import load_recipe, shipped_recipes
from xstilts.core.errors import UserError

RECIPE = """\
name: small
data:
  root: .
model: {tokenizer: here}
training:
  lr: 1e-4
  steps: 10
arms:
  none: []
  mixed:
    - tasks: [mnli, qqp]
      training:
        batch_size: 8
targets:
  udpos:
  xquad:
    train_on: [squad_v1]
    training: {steps: 5}
"""


@pytest.fixture
def write(tmp_path: Path) -> Callable[[str, str], Path]:
    """The recipe with one text replaced."""

    def replaced(old: str, new: str) -> Path:
        assert RECIPE.count(old) == 1
        path = tmp_path / "small.yaml"
        path.write_text(RECIPE.replace(old, new))
        return path

    return replaced


def failure(path: Path, *overrides: str) -> str:
    with pytest.raises(UserError) as error:
        load_recipe(str(path), overrides)
    assert "\n" not in str(error.value)
    return str(error.value).replace(f"{path}:", "")


def test_values_arrive_typed(write: Callable[[str, str], Path]) -> None:
    recipe = load_recipe(str(write("steps: 10", "steps: 10")))
    assert (recipe.name, recipe.data.root, recipe.training.lr, recipe.training.steps) == ("small", Path("."), 1e-4, 10)
    assert recipe.arms["mixed"][0].tasks == ["mnli", "qqp"]
    assert list(recipe.targets) == ["udpos", "xquad"]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("name: small", "naem: small", "1: unknown key 'naem'; did you mean 'name'?"),
        ("  lr: 1e-4", "  learning_rat: 1", "6: unknown key 'training.learning_rat'; known: batch_size, "),
        ("  lr: 1e-4", "  lrr: 1", "6: unknown key 'training.lrr'; did you mean 'lr'?"),
        (
            "batch_size: 8",
            "batchsize: 8",
            "13: unknown key 'arms.mixed.0.training.batchsize'; did you mean 'batch_size'?",
        ),
        ("train_on: [squad_v1]", "trainon: []", "17: unknown key 'targets.xquad.trainon'; did you mean 'train_on'?"),
        (
            "tasks: [mnli, qqp]",
            "tasks: [mnli, qpp]",
            "11: arms.mixed.0.tasks.1: unknown task 'qpp'; did you mean 'qqp'?",
        ),
        ("  udpos:", "  udpso:", "15: targets.udpso: unknown task 'udpso'; did you mean 'udpos'?"),
        ("[squad_v1]", "[squad_v3]", "17: targets.xquad.train_on.0: unknown task 'squad_v3'; did you mean 'squad_v2'?"),
        ("lr: 1e-4", "lr: quick", "6: training.lr: expected a valid number, "),
        ("lr: 1e-4", "lr: -1", "6: training.lr: expected greater than 0, found -1; mend it"),
        ("steps: 10", "steps: 1.5", "7: training.steps: expected a valid integer, "),
        ("  root: .", "  root: [.]", "3: data.root: "),
        ("model: {tokenizer: here}", "model: here", "4: model: expected a mapping of options, found 'here'; mend it"),
        ("tasks: [mnli, qqp]", "tasks: mnli", "11: arms.mixed.0.tasks: expected a valid list, found 'mnli'; mend it"),
        ("tasks: [mnli, qqp]", "tasks: []", "11: arms.mixed.0.tasks: "),
        ("tasks: [mnli, qqp]", "tasks: [qqp, qqp]", "11: arms.mixed.0.tasks: 'qqp' stands there twice; name it once"),
        ("- tasks: [mnli, qqp]", "- languages: [eng_Latn]", "11: 'arms.mixed.0.tasks' is missing; add it"),
        ("  none: []", "  no ne: []", "9: arms.no ne: "),
        (
            "steps: 10",
            "steps: 10\n  epochs: 2",
            "5: training: training.steps and training.epochs exclude each other; keep one",
        ),
        (
            "name: small",
            "name: small\nbaseline: nine",
            "2: baseline: 'nine' is not among the arms; name one of: none, mixed",
        ),
        ("  none: []", "  zero: []", "baseline: 'none' is not among the arms; name one of: zero, mixed"),
        ("  root: .", "  hub: false", "2: data: data comes from data.root, data.hub or both, or else from data.world"),
        ("  root: .", "  root: .\n  world: {}", "2: data: data comes from data.root, data.hub or both, or else from"),
        (
            "  root: .",
            "  hub: true\n  sources: {qqp: {dev: q.tsv}}",
            "2: data: data.sources names files below data.root",
        ),
        ("  root: .", "  root: .\n  sources: {qqp: {trian: q.tsv}}", "4: data.sources.qqp.trian: expected 'train', "),
        ("  root: .", "  root: .\n  world: {seeds: 1}", "4: unknown key 'data.world.seeds'; did you mean 'seed'?"),
        ("name: small", "name: a\nseeds: [1, 1]", "2: seeds: 1 stands there twice; name it once"),
        ("name: small", "name: a\npretraining_seeds: [1]", "2: pretraining_seeds: pretraining has no stage that would"),
        (
            "name: small",
            "name: a\npretraining_seeds: [1, 2]\npretraining: [{tasks: [mlm_text]}]",
            "2: pretraining_seeds: there are more than seeds, so that the last would not be used; drop them",
        ),
        ("name: small", "name: a\nname: b", "2: key 'name' stands here and on line 1; remove one of them"),
        ("name: small", "name: [small", "2: not YAML ("),
        ("name: small", "name: sm\x07all", "1: not YAML (character U+0007 is not allowed); mend the line"),
    ],
)
def test_one_line_with_place_and_remedy(write: Callable[[str, str], Path], old: str, new: str, message: str) -> None:
    assert failure(write(old, new)).lstrip().startswith(message)


def test_a_ranking_lies_below_the_recipes_folder(write: Callable[[str, str], Path], tmp_path: Path) -> None:
    part = "subset: {part: hardest, fraction: 0.3, ranking: ranks/mnli.jsonl}"
    path = write("tasks: [mnli, qqp]", f"tasks: [mnli]\n      {part}")
    ranking = tmp_path / "ranks" / "mnli.jsonl"
    assert failure(path).lstrip() == f"12: no ranking {ranking}; mend the path"
    ranking.parent.mkdir()
    ranking.touch()
    (stage,) = load_recipe(str(path)).arms["mixed"]
    assert stage.subset is not None and stage.subset.ranking == ranking


def test_so_does_a_dictionary(write: Callable[[str, str], Path], tmp_path: Path) -> None:
    path = write("tasks: [mnli, qqp]", "tasks: [mlm_text]\n      code_switch: {dictionary: en-sw.txt, rate: 0.3}")
    assert failure(path).lstrip() == f"12: no dictionary {tmp_path / 'en-sw.txt'}; mend the path"
    (tmp_path / "en-sw.txt").touch()
    (stage,) = load_recipe(str(path)).arms["mixed"]
    assert stage.code_switch is not None and stage.code_switch.dictionary == tmp_path / "en-sw.txt"


def test_languages_by_code_name_and_suite(write: Callable[[str, str], Path]) -> None:
    path = write("  udpos:", "  tydiqa: {languages: [sw, Arabic, qaa_Latn, fin_Latn]}\n  udpos: {languages: xtreme}")
    text = "pretraining=[{tasks: [mlm_text], languages: xtreme}]"
    recipe = load_recipe(str(path), [text])
    assert recipe.targets["tydiqa"].languages == ["swh_Latn", "arb_Arab", "qaa_Latn", "fin_Latn"]
    # udpos has 38 languages in XTREME-R, 33 of them in XTREME
    assert len(recipe.targets["udpos"].languages or ()) == 33
    assert recipe.targets["xquad"].languages is None
    # XTREME has 40 languages in all
    assert len(recipe.pretraining[0].languages) == 40


@pytest.mark.parametrize(
    ("languages", "message"),
    [
        ("[sw, swaheeli]", "15: unknown language 'swaheeli'; did you mean 'Swahili'?"),
        ("[sw, swa]", "15: targets.udpos.languages: 'swh_Latn' stands there twice; name it once"),
        ("xtrme", "15: unknown suite 'xtrme'; did you mean 'xtreme'?"),
        ("africa", "15: suite 'africa' has no task 'udpos'; "),
        ("3", "15: targets.udpos.languages: expected a valid list, found 3; mend it"),
    ],
)
def test_unknown_languages(write: Callable[[str, str], Path], languages: str, message: str) -> None:
    assert failure(write("  udpos:", f"  udpos: {{languages: {languages}}}")).startswith(message)
    override = f"targets.udpos.languages={languages}"
    problem = message.partition(": ")[2]
    assert failure(write("  udpos:", "  udpos:"), override).startswith(f"override '{override}': {problem}")


def test_what_is_no_recipe(tmp_path: Path) -> None:
    path = tmp_path / "list.yaml"
    path.write_text("- a\n- b\n")
    assert failure(path) == "1: a recipe is a mapping of sections; start from a shipped recipe"
    path.write_bytes("name: caf\xe9\n".encode("latin-1"))
    assert failure(path).endswith("cannot be read (not UTF-8); give a readable YAML file")
    with pytest.raises(UserError, match=r"no recipe 'dmo': neither a file nor a shipped recipe; did you mean 'demo'?"):
        load_recipe("dmo")


def test_training_is_inherited_field_by_field(write: Callable[[str, str], Path]) -> None:
    recipe = load_recipe(str(write("steps: 10", "steps: 10\n  warmup: 0.5")))
    stage, udpos, xquad = (
        recipe.arms["mixed"][0].training,
        recipe.targets["udpos"].training,
        recipe.targets["xquad"].training,
    )
    assert (stage.lr, stage.steps, stage.warmup, stage.batch_size) == (1e-4, 10, 0.5, 8)
    assert (udpos.lr, udpos.steps, udpos.warmup, udpos.batch_size) == (1e-4, 10, 0.5, 32)
    assert (xquad.lr, xquad.steps, xquad.warmup) == (1e-4, 5, 0.5)


def test_epochs_of_a_stage_oust_inherited_steps(write: Callable[[str, str], Path]) -> None:
    training = load_recipe(str(write("batch_size: 8", "epochs: 3"))).arms["mixed"][0].training
    assert (training.steps, training.epochs) == (None, 3.0)
    with pytest.raises(UserError, match="exclude each other"):
        load_recipe(str(write("batch_size: 8", "{epochs: 3, steps: 4}")))


def test_overrides(write: Callable[[str, str], Path]) -> None:
    path = write("steps: 10", "steps: 10")
    overrides = [
        "training.lr=3e-5",
        "arms.mixed.0.training.steps=7",
        "targets.udpos.max_examples=9",
        "runtime.log_every=2",
    ]
    recipe = load_recipe(str(path), [*overrides, "seeds=[1, 2]", "title=a=b"])
    assert (recipe.training.lr, recipe.arms["mixed"][0].training.steps) == (3e-5, 7)
    assert recipe.arms["mixed"][0].training.lr == 3e-5
    assert (recipe.targets["udpos"].max_examples, recipe.runtime.log_every) == (9, 2)
    assert (recipe.seeds, recipe.title) == ([1, 2], "a=b")


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("training.lrr=1", "override 'training.lrr=1': unknown key 'training.lrr'; did you mean 'lr'?"),
        ("arms.mixed.0.tasks=[qqq]", "override 'arms.mixed.0.tasks=[qqq]': arms.mixed.0.tasks.0: unknown task 'qqq'"),
        ("name.x=1", "override 'name.x=1': there is no section above 'x'; shorten the path"),
        ("arms.mixed.1.tasks=[qqp]", "override 'arms.mixed.1.tasks=[qqp]': '1' stands for an entry of a list; give a"),
        ("seeds", "override 'seeds' is not key.path=value; write for example training.lr=1e-5"),
        ("a..b=1", "override 'a..b=1' is not key.path=value; write for example training.lr=1e-5"),
        ("seeds=[1", "override 'seeds=[1': the value is not YAML; quote it"),
    ],
)
def test_wrong_overrides(write: Callable[[str, str], Path], override: str, message: str) -> None:
    assert failure(write("steps: 10", "steps: 10"), override).startswith(message)


def test_variables_in_paths(write: Callable[[str, str], Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XSTILTS_TEST_ROOT", "/data")
    monkeypatch.setenv("HOME", "/home/me")
    path = write("  root: .", "  root: ${XSTILTS_TEST_ROOT}/official\n  cache: ~/cache")
    recipe = load_recipe(str(path))
    assert (recipe.data.root, recipe.data.cache) == (Path("/data/official"), Path("/home/me/cache"))
    monkeypatch.delenv("XSTILTS_TEST_ROOT")
    assert failure(path) == (
        "3: data.root is ${XSTILTS_TEST_ROOT}/official and the variable XSTILTS_TEST_ROOT is not set; "
        "export XSTILTS_TEST_ROOT=FOLDER"
    )


@pytest.mark.parametrize("name", shipped_recipes())
def test_shipped_recipes_are_valid(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XSTILTS_DATA", "/data")
    assert load_recipe(name).name == name.rpartition("/")[2]
