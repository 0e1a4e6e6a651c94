"""Training in another language than English: which files are read, what they change, and what is said without any."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from xstilts.config.recipe import Recipe
from xstilts.core.errors import UserError
from xstilts.data.catalogue import Part
from xstilts.study.graph import Stage
from xstilts.study.open import open_study
from xstilts.study.run import run_study
from xstilts.study.sources import dev_parts, sources_of
from xstilts.study.study import Study
from xstilts.tasks import find_task

MakeRecipe = Callable[..., Recipe]
AFRIKAANS = "afr_Latn"


@pytest.fixture
def root(world: Path, tmp_path: Path) -> Path:
    """The world with treebanks and translations as their releases have them."""
    root = tmp_path / "root"
    shutil.copytree(world, root)
    for split in ("train", "dev"):
        shutil.copy(root / f"ud/en_world-ud-{split}.conllu", root / f"ud/af_world-ud-{split}.conllu")
    translated = root / "XNLI-MT-1.0/multinli/multinli.train.sw.tsv"
    translated.parent.mkdir(parents=True)
    labels = ("entailment", "neutral", "contradictory")
    rows = "".join(f"mbwa {i} analala\tpaka {i}\t{labels[i % 3]}\n" for i in range(12))
    translated.write_text(f"premise\thypo\tlabel\n{rows}", encoding="utf-8")
    return root


@pytest.fixture
def opened(recipe: MakeRecipe, root: Path, tmp_path: Path) -> Callable[..., Study]:
    def study(sources: dict[str, Any] | None = None, **sections: Any) -> Study:
        data = {"root": root, "cache": tmp_path / "cache", "max_length": 64, "doc_stride": 16, "sources": sources or {}}
        return open_study(recipe(pretraining=[], data=data, **sections), tmp_path / "run", device="cpu")

    return study


def arm(study: Study, name: str = "arm") -> Stage:
    return next(stage for stage in study.graph.stages() if stage.label == name)


def test_a_treebank_of_the_language_is_the_source(opened: Callable[..., Study], root: Path) -> None:
    dev = {"training": {"steps": 2, "dev": {"every": 1}}}
    english, other = (
        arm(opened(arms={"none": [], "arm": [{"tasks": ["udpos"], **dev, "source_language": key}]}))
        for key in ("eng_Latn", AFRIKAANS)
    )
    assert english.id != other.id and english.randomness == other.randomness
    assert [(part.split, part.language) for part in other.data] == [("train", AFRIKAANS), ("dev", AFRIKAANS)]
    assert english.files == {}
    assert other.files == {
        name: hashlib.sha256((root / "ud" / name).read_bytes()).hexdigest()
        for name in ("af_world-ud-train.conllu", "af_world-ud-dev.conllu")
    }
    assert dev_parts(other.config) == [Part("udpos", "dev", AFRIKAANS, True)]


def test_translated_text_is_read_in_its_own_form_and_text_keeps_its_languages(opened: Callable[..., Study]) -> None:
    stage = {"tasks": ["mnli", "mlm_text"], "source_language": "swh_Latn", "languages": ["eng_Latn", "qaa_Latn"]}
    study = opened(arms={"none": [], "arm": [stage]})
    assert [part.language for part in arm(study).data] == ["swh_Latn", "eng_Latn", "qaa_Latn"]
    features = study.steps(arm(study)).features["mnli"].load(range(12))
    assert [feature.targets for feature in features[:4]] == [[0], [1], [2], [0]]
    assert next(iter(arm(study).files)) == "multinli.train.sw.tsv"


def test_what_is_absent_is_named_in_one_line(opened: Callable[..., Study]) -> None:
    def problem(task: str, language: str, sources: dict[str, Any] | None = None) -> str:
        with pytest.raises(UserError) as error:
            opened(sources, arms={"none": [], "arm": [{"tasks": [task], "source_language": language}]})
        assert "\n" not in str(error.value)
        return str(error.value)

    assert "task 'mnli', train, deu_Latn: no file XNLI-MT-1.0/multinli/multinli.train.de.tsv below" in problem(
        "mnli", "deu_Latn"
    )
    assert "no file ud/de_*-ud-train.conllu below" in problem("udpos", "deu_Latn")
    own = "task 'cosmos_qa' has no training text in swh_Latn; name files of your own by data.sources.cosmos_qa.train"
    assert own in problem("cosmos_qa", "swh_Latn")
    assert "task 'mnli' has no training text in qaa_Latn" in problem("mnli", "qaa_Latn")
    one_file = {"cosmos_qa": {"train": "cosmos_qa/train.csv"}}
    assert "is one file for all languages, and a stage trains in swh_Latn; write {code}" in problem(
        "cosmos_qa", "swh_Latn", one_file
    )


def test_one_training_file_of_a_task_in_two_languages_is_read_for_english_alone(root: Path) -> None:
    task = dataclasses.replace(find_task("cosmos_qa"), languages={"eng_Latn": "en", "swh_Latn": "sw"})
    assert task.locate(root, "train", "eng_Latn")
    with pytest.raises(UserError, match="task 'cosmos_qa' has no training text in swh_Latn"):
        task.locate(root, "train", "swh_Latn")


def test_translations_of_ones_own_are_found_by_the_code(opened: Callable[..., Study], root: Path) -> None:
    shutil.copy(root / "cosmos_qa/train.csv", root / "cosmos_qa/train.sw.csv")
    sources = {"cosmos_qa": {"train": "cosmos_qa/train.{code}.csv"}}
    stage = {"tasks": ["cosmos_qa"], "source_language": "swh_Latn"}
    assert list(arm(opened(sources, arms={"none": [], "arm": [stage]})).files) == ["train.sw.csv"]


@pytest.mark.usefixtures("one_rank")
def test_a_target_is_predicted_by_a_head_trained_on_its_own_data(opened: Callable[..., Study], root: Path) -> None:
    for split in ("train", "test"):
        path = root / f"masakhapos/swa/{split}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("\n".join("mbwa NOUN\nanalala VERB\n. PUNCT\n" for _ in range(9)), encoding="utf-8")
    target = {"languages": ["swh_Latn"], "train_on": ["masakhapos"], "source_language": "swh_Latn"}
    study = opened(arms={"none": []}, targets={"masakhapos": target})
    assert [part.task for part in sources_of(study.recipe)] == ["masakhapos", "masakhapos"]
    (row, *_) = run_study(study)
    assert (row.task, row.language, row.num_examples) == ("masakhapos", "swh_Latn", 9)
    (record,) = study.workspace.root.glob("stages/*/stage.json")
    said = json.loads(record.read_text(encoding="utf-8"))
    assert said["tasks"] == ["masakhapos"] and list(said["origin"]["files"]) == ["train.txt"]
    assert said["origin"]["hyperparameters"]["source_language"] == "swh_Latn"
