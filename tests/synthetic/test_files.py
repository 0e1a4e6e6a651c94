"""Every file of a world goes through the readers; equal worlds give equal bytes."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import pytest
from pydantic import ValidationError
from transformers import AutoTokenizer, XLMRobertaTokenizer

from xstilts.kinds import Example, RetrievalExample, SpanExample, TaggingExample
from xstilts.synthetic import World, write_world
from xstilts.tasks import all_tasks, find_task

ARTIFICIAL = ("qaa_Latn", "qab_Cyrl", "qac_Ethi")
ENGLISH = "eng_Latn"


def read(root: Path, name: str, split: str, language: str = ENGLISH) -> list[Example]:
    """Everything that the task's reader makes of the world's files; nothing may be skipped."""
    layout, source = find_task(name).locate(root, split, language)
    examples = list(layout.read(source))
    assert not source.skipped
    return examples


INTERMEDIATES = {
    "anli_plus": 3 * 900, "mnli": 900, "qqp": 900, "squad_v2": 900, "squad_v1": 900, "hellaswag": 900, "ccg": 900,
    "cosmos_qa": 900, "commonsense_qa": 900, "copa": 900, "siqa": 900,
}  # fmt: skip


@pytest.mark.parametrize("name", INTERMEDIATES)
def test_intermediates(world_root: Path, name: str) -> None:
    assert len(read(world_root, name, "train")) == INTERMEDIATES[name]
    assert len(read(world_root, name, "dev")) == INTERMEDIATES[name] // 3


@pytest.mark.parametrize("name", ["xquad", "udpos", "udpos_words", "panx", "mlqa", "xnli", "pawsx"])
def test_targets_in_every_language(world_root: Path, name: str) -> None:
    for language in (ENGLISH, *ARTIFICIAL):
        assert len(read(world_root, name, "test", language)) == 60
    assert len({str(read(world_root, name, "test", language)) for language in (ENGLISH, *ARTIFICIAL)}) == 4


def test_targets_with_their_own_sizes(world_root: Path) -> None:
    assert len(read(world_root, "tydiqa", "train")) == 900
    assert len(read(world_root, "tydiqa", "dev")) == 60
    for language in ARTIFICIAL:
        assert len(read(world_root, "tydiqa", "test", language)) == 60
        assert len(read(world_root, "xcopa", "dev", language)) == 300
        assert len(read(world_root, "xcopa", "test", language)) == 60
        assert len(read(world_root, "tatoeba", "test", language)) == 2 * 60
        assert len(read(world_root, "ntrex", "test", language)) == 2 * 60
        assert len(read(world_root, "mlm_text", "train", language)) == 300
        assert len(read(world_root, "mlm_ntrex", "train", language)) == 60


@pytest.mark.parametrize("split", ["dev", "test"])
def test_bucc_pairs_a_third_of_its_sentences(world_root: Path, split: str) -> None:
    for language in ARTIFICIAL:
        examples = read(world_root, "bucc2018", split, language)
        assert all(isinstance(example, RetrievalExample) for example in examples)
        linked = [example for example in examples if isinstance(example, RetrievalExample) and example.relevant]
        assert (len(examples), len(linked)) == (40 + 40, 20)


def test_lareqa_candidates_are_the_sentences(world_root: Path) -> None:
    examples = [example for example in read(world_root, "lareqa", "test") if isinstance(example, RetrievalExample)]
    candidates = {example.id for example in examples if example.role == "candidate"}
    queries = [example for example in examples if example.role == "query"]
    assert len(queries) == 60
    assert all(query.relevant and set(query.relevant) <= candidates for query in queries)


def test_every_file_of_the_world_is_read_by_some_task(world_root: Path) -> None:
    """But for the tokenizer, test sets of intermediates, English XCOPA, and MLQA's pairs of two languages."""
    read_files = set()
    for task in all_tasks():
        for layout in task.layouts:
            for patterns in layout.paths.values():
                for language in (ENGLISH, *ARTIFICIAL):
                    code = task.languages.get(language, language[:3]) if language == ENGLISH else language[:3]
                    for pattern in patterns:
                        read_files |= set(world_root.glob(pattern.format(code=code)))
    unread = {path for path in world_root.rglob("*") if path.is_file()} - read_files
    folders = {path.relative_to(world_root).parts[0] for path in unread}
    assert folders <= {"tokenizer", "anli", "snli", "copa", "xcopa", "mlqa"}, sorted(unread)


def test_answers_stand_where_they_are_said_to(world_root: Path) -> None:
    for name in ("squad_v1", "squad_v2"):
        for example in read(world_root, name, "train"):
            assert isinstance(example, SpanExample)
            for answer in example.answers:
                assert example.context[answer.start : answer.start + len(answer.text)] == answer.text
    for language in ARTIFICIAL:
        for example in read(world_root, "xquad", "test", language):
            assert isinstance(example, SpanExample)
            (answer,) = example.answers
            assert example.context[answer.start : answer.start + len(answer.text)] == answer.text


def test_tag_sets(world_root: Path) -> None:
    tags = defaultdict(set)
    for name in ("udpos", "panx"):
        for example in read(world_root, name, "train"):
            assert isinstance(example, TaggingExample) and example.tags is not None
            tags[name] |= set(example.tags)
    assert tags["panx"] == {"O", "B-PER", "I-PER", "B-ORG", "I-ORG", "B-LOC"}
    assert tags["udpos"] == {
        "ADJ", "ADP", "ADV", "AUX", "CCONJ", "DET", "NOUN", "NUM", "PART", "PRON", "PROPN", "PUNCT", "SCONJ", "VERB",
    }  # fmt: skip


def test_tokenizer_has_the_layout_of_xlm_r(world_root: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(world_root / "tokenizer")
    assert isinstance(tokenizer, XLMRobertaTokenizer)
    assert tokenizer.convert_tokens_to_ids(["<s>", "<pad>", "</s>", "<unk>"]) == [0, 1, 2, 3]
    assert tokenizer.mask_token_id == len(tokenizer) - 1
    assert (tokenizer.pad_token_id, tokenizer.cls_token_id, tokenizer.sep_token_id) == (1, 0, 2)
    texts = [line for path in (world_root / "text").iterdir() for line in path.read_text("utf-8").splitlines()]
    assert len(texts) == 4 * 300
    for ids, text in zip(tokenizer(texts)["input_ids"], texts, strict=True):
        assert tokenizer.unk_token_id not in ids
        assert tokenizer.decode(ids, skip_special_tokens=True) == text


TINY = World(seed=3, languages={"qaa_Latn": 0.5, "qab_Ethi": 0.8}, num_train=30, num_dev=9, num_test=9, num_text=60)


def _digest(root: Path) -> str:
    digest = hashlib.sha256()
    for path in sorted(path for path in root.rglob("*") if path.is_file()):
        digest.update(f"{path.relative_to(root)}\n".encode() + path.read_bytes())
    return digest.hexdigest()


def test_equal_settings_give_equal_bytes_in_any_process(tmp_path: Path) -> None:
    write_world(TINY, tmp_path / "here")
    script = (
        "import sys; from pathlib import Path; from xstilts.synthetic import World, write_world; "
        "write_world(World.model_validate_json(sys.argv[1]), Path(sys.argv[2]))"
    )
    for hash_seed in ("1", "2"):
        environment = os.environ | {"PYTHONHASHSEED": hash_seed, "PYTHONPATH": os.pathsep.join(sys.path)}
        arguments = [sys.executable, "-c", script, TINY.model_dump_json(), str(tmp_path / hash_seed)]
        subprocess.run(arguments, env=environment, check=True)
    assert _digest(tmp_path / "here") == _digest(tmp_path / "1") == _digest(tmp_path / "2")


def test_another_seed_gives_another_world(tmp_path: Path) -> None:
    write_world(TINY, tmp_path / "three")
    write_world(TINY.model_copy(update={"seed": 4}), tmp_path / "four")
    assert (tmp_path / "three/text/eng.txt").read_text("utf-8") != (tmp_path / "four/text/eng.txt").read_text("utf-8")


@pytest.mark.parametrize(
    ("languages", "message"),
    [
        ({"swh_Latn": 0.5}, "write qaa to qtz"),
        ({"qaa_Arab": 0.5}, "one of Latn, Cyrl, Grek, Ethi"),
        ({"qaa_Latn": 1.5}, "less than or equal to 1"),
        ({"qaa_Latn": 0.1, "qaa_Cyrl": 0.1}, "two languages have one code"),
    ],
)
def test_impossible_languages_are_refused(languages: dict[str, float], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        World(languages=languages)
