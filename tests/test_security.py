"""What comes from outside is data: it is never executed, names no place outside of the run, and learns no secrets."""

from __future__ import annotations

import ast
import copy
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from xstilts.config.load import load_recipe
from xstilts.core.errors import UserError
from xstilts.training.checkpoint.format import File, Progress, manifest_bytes, open_tensors, verify

ROOT = Path(__file__).resolve().parents[1]
SOURCES = [ROOT / "train.py", *sorted((ROOT / "src").rglob("*.py"))]

# What runs code that it reads, by the name with which it is called.
EXECUTING_MODULES = {"pickle", "marshal", "shelve", "dill", "cloudpickle", "joblib", "code", "codeop"}
EXECUTING_CALLS = {
    *("eval", "exec", "compile", "__import__"),
    *("os.system", "os.popen", "subprocess.getoutput", "subprocess.getstatusoutput"),
    *("torch.load", "torch.jit.load", "torch.hub.load", "numpy.load", "np.load", "pandas.read_pickle"),
    *("yaml.load", "yaml.load_all", "yaml.full_load", "yaml.unsafe_load"),
}
EXECUTING_OPTIONS = {
    ("shell", True),
    ("weights_only", False),
    ("trust_remote_code", True),
    ("allow_pickle", True),
    ("use_safetensors", False),
}
PICKLED_MESSAGES = {"all_gather_object", "broadcast_object_list", "gather_object", "scatter_object_list"}
"""Between the ranks of one process group only, which trust each other as they do for every tensor."""

UNSAFE_WORDS = ("StrictHostKeyChecking=no", "StrictHostKeyChecking no", "UserKnownHostsFile=/dev/null", "--bind_all")


def dotted(node: ast.expr) -> str:
    if isinstance(node, ast.Attribute):
        return f"{dotted(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else ""


def unsafe(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            module = node.module if isinstance(node, ast.ImportFrom) else None
            for name in [module] if module else [alias.name for alias in node.names]:
                if name.split(".")[0] in EXECUTING_MODULES:
                    yield f"{node.lineno}: imports {name}"
        elif isinstance(node, ast.Call):
            if dotted(node.func) in EXECUTING_CALLS:
                yield f"{node.lineno}: calls {dotted(node.func)}"
            for option in node.keywords:
                if isinstance(option.value, ast.Constant) and (option.arg, option.value.value) in EXECUTING_OPTIONS:
                    yield f"{node.lineno}: passes {option.arg}={option.value.value}"
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            for word in UNSAFE_WORDS:
                if word in node.value:
                    yield f"{node.lineno}: says {word}"


def test_no_source_executes_what_it_reads() -> None:
    assert len(SOURCES) > 50
    found = [f"{path.relative_to(ROOT)}:{what}" for path in SOURCES for what in unsafe(ast.parse(path.read_text()))]
    assert found == []


@pytest.mark.parametrize(
    "source",
    [
        "import pickle",
        "from pickle import loads",
        "torch.load(path)",
        "yaml.load(text, yaml.Loader)",
        "eval(text)",
        "subprocess.run(line, shell=True)",
        "np.load(path)",
        "AutoModel.from_pretrained(name, trust_remote_code=True)",
        "options = ['-o', 'StrictHostKeyChecking=no']",
    ],
)
def test_such_a_source_would_be_found(source: str) -> None:
    assert len(list(unsafe(ast.parse(source)))) == 1


def test_only_ranks_of_one_group_send_each_other_objects() -> None:
    using = {
        str(path.relative_to(ROOT))
        for path in SOURCES
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute) and node.attr in PICKLED_MESSAGES
    }
    assert using == {"src/xstilts/distributed/process_group.py"}


RECIPE = {
    "name": "hostile",
    "data": {
        "world": {
            "languages": {"qaa_Latn": 0.2},
            **{"num_train": 60, "num_dev": 12, "num_test": 10, "num_text": 80, "num_bitext": 20, "num_pieces": 400},
        },
        "max_length": 64,
        "doc_stride": 16,
    },
    "model": {
        "config": {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 64},
    },
    "runtime": {"deepspeed": "zero2_fp32_cpu", "tokens_per_micro_batch": 512},
    "arms": {"none": []},
    "targets": {"udpos": {"languages": ["qaa_Latn"], "training": {"steps": 2}}},
}


def load(folder: Path, **sections: Any) -> Any:
    path = folder / "recipe.yaml"
    path.write_text(yaml.safe_dump({**copy.deepcopy(RECIPE), **sections}), encoding="utf-8")
    return load_recipe(str(path))


ESCAPES = ["../x", "..", ".", "", "a/b", "/etc", "a\n", "a\0b", "a b", "~", "$HOME", "-rf", ".hidden", "x" * 300, "ä"]


def test_the_harmless_recipe_is_taken(tmp_path: Path) -> None:
    assert load(tmp_path).name == "hostile"


@pytest.mark.parametrize("name", ESCAPES)
def test_no_name_of_a_run_leaves_the_folder_of_runs(tmp_path: Path, name: str) -> None:
    with pytest.raises(UserError, match="name"):
        load(tmp_path, name=name)


@pytest.mark.parametrize("name", ESCAPES)
def test_no_name_of_an_arm_leaves_the_run(tmp_path: Path, name: str) -> None:
    with pytest.raises(UserError) as error:
        load(tmp_path, arms={name: []}, baseline=name)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("name", [*ESCAPES, "udpos/../x"])
def test_no_name_of_a_task_leaves_the_run(tmp_path: Path, name: str) -> None:
    for sections in ({"targets": {name: {}}}, {"arms": {"none": [], "one": [{"tasks": [name]}]}}):
        with pytest.raises(UserError):
            load(tmp_path, **sections)


@pytest.mark.parametrize("name", [*ESCAPES, "qaa_../../x", "qaa_Latn/../../x", "qaa_Latn\n", "eng_Latn/x"])
def test_no_language_leaves_the_run(tmp_path: Path, name: str) -> None:
    for sections in (
        {"targets": {"udpos": {"languages": [name]}}},
        {"arms": {"none": [], "one": [{"tasks": ["mlm_text"], "languages": [name]}]}},
        {"data": {"world": {"languages": {name: 0.5}}}},
    ):
        with pytest.raises(UserError):
            load(tmp_path, **sections)


@pytest.mark.parametrize("tag", ["!!python/object/apply:os.system", "!!python/object/apply:subprocess.getoutput"])
def test_recipe_cannot_run_code(tmp_path: Path, tag: str) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text(f"name: x\ntitle: {tag} ['touch {tmp_path / 'executed'}']\n", encoding="utf-8")
    with pytest.raises(UserError) as error:
        load_recipe(str(path))
    assert str(error.value).startswith(f"{path}:2: ")
    assert not (tmp_path / "executed").exists()


@pytest.mark.parametrize("name", ["../outside.safetensors", "/etc/passwd", "a/b", "..", ".", "", "a\0b", "x" * 300])
def test_checkpoint_names_no_file_outside_of_itself(tmp_path: Path, name: str) -> None:
    """Its seal is right: whoever writes a manifest can seal it."""
    folder = tmp_path / "step-00000001"
    folder.mkdir()
    (tmp_path / "outside.safetensors").write_bytes(b"")
    empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    (folder / "manifest.json").write_bytes(manifest_bytes(Progress(step=1), [File(name, 0, empty)]))
    with pytest.raises(UserError):
        verify(folder)
    with pytest.raises(UserError):
        open_tensors(folder, {})


def test_nothing_of_a_run_tells_the_environment(tmp_path: Path) -> None:
    """A whole run with a secret in its environment: neither its output nor any of its files holds it."""
    load(tmp_path)
    secret = "hf_Q7xV2mZk9T"
    done = subprocess.run(
        [sys.executable, ROOT / "train.py", "run", tmp_path / "recipe.yaml", "--run-dir", tmp_path / "run"],
        env={**os.environ, "HF_TOKEN": secret, "DS_ACCELERATOR": "cpu", "OMP_NUM_THREADS": "1"},
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr.decode()
    files = [path for path in (tmp_path / "run").rglob("*") if path.is_file()]
    assert any(path.name.startswith("events.out.tfevents") for path in files)
    assert secret.encode() not in done.stdout + done.stderr
    assert [path for path in files if secret.encode() in path.read_bytes()] == []
