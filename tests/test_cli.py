"""The command line as a user meets it: real processes, one line for every mistake."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from xstilts import cli
from xstilts.commands.finished import say_if_finished
from xstilts.config.load import load_recipe
from xstilts.synthetic import write_world
from xstilts.synthetic.settings import World

ROOT = Path(__file__).resolve().parents[1]

Values = dict[str, Any]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("cli") / "world"
    sizes = {"num_train": 24, "num_dev": 8, "num_test": 6, "num_text": 30, "num_bitext": 10, "num_pieces": 300}
    write_world(World(languages={"qaa_Latn": 0.3}, **sizes), root)
    return root


@pytest.fixture
def values(world: Path) -> Values:
    """A recipe: UDPOS trained for one step, and Tatoeba."""
    sizes = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    return {
        "name": "tiny",
        "data": {"root": str(world), "max_length": 64, "doc_stride": 16},
        "model": {"config": sizes},
        "runtime": {"deepspeed": "zero1_fp32_cpu", "tokens_per_micro_batch": 1024, "keep_leaf_weights": True},
        "training": {"steps": 1, "batch_size": 4},
        "arms": {"none": []},
        "targets": {"udpos": {"languages": ["eng_Latn"]}, "tatoeba": {"languages": ["qaa_Latn"]}},
    }


@pytest.fixture
def own_world(world: Path, tmp_path: Path) -> Path:
    """A copy of the world, to be spoilt."""
    return Path(shutil.copytree(world, tmp_path / "spoilt"))


def write(path: Path, values: Values) -> Path:
    path.write_text(yaml.safe_dump(values, sort_keys=False), encoding="utf-8")
    return path


def train_py(*arguments: object, launcher: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
    """`train.py` with these arguments in a process of its own."""
    ranks = ("RANK", "LOCAL_RANK", "WORLD_SIZE", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT", "LOCAL_SIZE")
    environment = {name: value for name, value in os.environ.items() if name not in ranks}
    environment |= {"DS_ACCELERATOR": "cpu", "CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1"}
    environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environment['PATH']}"
    command = [*(launcher or (sys.executable,)), str(ROOT / "train.py"), *map(str, arguments)]
    return subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, timeout=280, check=False)


def one_line(*arguments: object) -> str:
    """What a mistake says: exactly one line on the standard error, exit code 2, nothing on a traceback."""
    done = train_py(*arguments)
    lines = done.stderr.splitlines()
    assert done.returncode == 2, done.stderr
    assert len(lines) == 1, done.stderr
    assert lines[0].startswith("error: ")
    return lines[0].removeprefix("error: ")


def replace_line(path: Path, number: int, change: Callable[[str], str]) -> None:
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    lines[number - 1] = change(lines[number - 1])
    path.write_text("".join(lines), encoding="utf-8")


def test_an_unknown_recipe_key(values: Values, tmp_path: Path) -> None:
    path = write(tmp_path / "recipe.yaml", {**values, "training": {"steps": 1, "batch_sise": 4}})
    line = path.read_text().splitlines().index("  batch_sise: 4") + 1
    told = one_line("run", path, "--run-dir", tmp_path / "run")
    assert told == f"{path}:{line}: unknown key 'training.batch_sise'; did you mean 'batch_size'?"


def test_a_missing_data_file(values: Values, own_world: Path, tmp_path: Path) -> None:
    path = write(tmp_path / "recipe.yaml", {**values, "data": {**values["data"], "root": str(own_world)}})
    for file in (own_world / "ud").glob("en*train*"):
        file.unlink()
    told = one_line("plan", path, "--run-dir", tmp_path / "run")
    assert told.startswith(f"task 'udpos', train, eng_Latn: no file ud/en_*-ud-train.conllu below {own_world}; ")


def spoil_json(root: Path) -> tuple[Path, int, str]:
    path = root / "commonsense_qa" / "train_rand_split.jsonl"
    replace_line(path, 5, lambda line: line[:-20] + "\n")
    return path, 5, "malformed JSON"


def spoil_span(root: Path) -> tuple[Path, int, str]:
    """An answer's offset; the line told is that of the question's id."""
    path = root / "squad_v1" / "train-v1.1.json"
    lines = list(enumerate(path.read_text(encoding="utf-8").splitlines(), start=1))
    offset = next(number for number, line in lines if '"answer_start"' in line)
    replace_line(path, offset, lambda line: line.replace('"answer_start": ', '"answer_start": 1'))
    return path, next(number for number, line in lines if '"id"' in line), "is not at offset 1"


def spoil_label(root: Path) -> tuple[Path, int, str]:
    path = root / "anli" / "R1" / "train.jsonl"
    label = json.loads(path.read_text(encoding="utf-8").splitlines()[2])["label"]
    replace_line(path, 3, lambda line: line.replace(f'"label": "{label}"', '"label": "maybe"'))
    return path, 3, "maybe"


def spoil_tags(root: Path) -> tuple[Path, int, str]:
    path = root / "ccg" / "train.txt"
    replace_line(path, 4, lambda line: line.rstrip("\n") + " N\n")
    return path, 4, "tags"


@pytest.mark.parametrize(
    ("task", "spoil"),
    [
        ("commonsense_qa", spoil_json),
        ("squad_v1", spoil_span),
        ("anli_plus", spoil_label),
        ("ccg", spoil_tags),
    ],
    ids=["malformed JSON line", "span that does not match its text", "unknown label", "ragged columns"],
)
def test_a_bad_row_is_told_with_file_line_and_remedy(
    values: Values, own_world: Path, tmp_path: Path, task: str, spoil: Callable[[Path], tuple[Path, int, str]]
) -> None:
    file, number, problem = spoil(own_world)
    data = {**values["data"], "root": str(own_world)}
    path = write(tmp_path / "recipe.yaml", {**values, "data": data, "pretraining": [{"tasks": [task]}]})
    told = one_line("plan", path, "--run-dir", tmp_path / "run")
    place, _, rest = told.partition(": ")
    assert Path(place.rpartition(":")[0]) == file
    assert problem in rest and "; " in rest
    assert place.endswith(f":{number}")


def test_an_unreadable_checkpoint(values: Values, world: Path, tmp_path: Path) -> None:
    folder = tmp_path / "xlm-r"
    folder.mkdir()
    (folder / "config.json").write_text('{"model_type": "xlm-roberta", "vocab_size": 300, "hidden_size": 16}')
    (folder / "model.safetensors").write_bytes(b"\x10\x00\x00\x00\x00\x00\x00\x00{not safetensors")
    model = {"pretrained": str(folder), "tokenizer": str(world / "tokenizer")}
    path = write(tmp_path / "recipe.yaml", {**values, "model": model})
    told = one_line("run", path, "--run-dir", tmp_path / "run")
    assert told.startswith(f"model.pretrained: cannot load '{folder}' (") and "; give an XLM-R folder" in told


def test_the_launcher_tells_a_mistake_once_and_fails(values: Values, own_world: Path, tmp_path: Path) -> None:
    file, number, _ = spoil_tags(own_world)
    data = {**values["data"], "root": str(own_world)}
    path = write(tmp_path / "recipe.yaml", {**values, "data": data, "pretraining": [{"tasks": ["ccg"]}]})
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    launcher = ("deepspeed", "--num_gpus", "2", "--master_port", str(port))
    done = train_py("run", path, "--run-dir", tmp_path / "run", launcher=launcher)
    said = done.stdout + done.stderr
    assert done.returncode != 0
    assert said.count("error: ") == 1, said
    assert f"error: {file}:{number}: " in said
    assert "Traceback" not in said
    assert not list(Path("/dev/shm").glob(f"deepspeed_allreduce_buffer_*_{port}_*"))


def check_that_nothing_is_left(path: Path, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A launch of a finished study ends at once and touches nothing; whatever differs is a reason to look closer."""
    same, other = (load_recipe(str(path), [f"training.lr={lr}"]) for lr in ("1e-4", "2e-4"))
    before = {file: file.stat().st_mtime_ns for file in folder.rglob("*") if "leases" not in file.parts}
    assert cli.main(["run", str(path), "--run-dir", str(folder), "training.lr=1e-4"]) == 0
    assert "tiny: nothing is left to do, 2 results are there" in capsys.readouterr().out
    after = {file: file.stat().st_mtime_ns for file in folder.rglob("*") if "leases" not in file.parts}
    assert {file for file in after if file.is_file() and after[file] != before.get(file)} == set()
    assert not say_if_finished(other, folder)
    published = folder / "predictions"
    published.rename(folder / "elsewhere")
    assert not say_if_finished(same, folder)
    (folder / "elsewhere").rename(published)
    os.utime(folder / "results.jsonl")
    assert not say_if_finished(same, folder)
    os.utime(folder / "report.html")
    assert not say_if_finished(same, folder)
    os.utime(folder / "report.md")
    assert say_if_finished(same, folder)
    capsys.readouterr()


def test_run_then_report_then_evaluate(values: Values, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One short study, and the commands that read what it leaves."""
    path, folder = write(tmp_path / "recipe.yaml", values), tmp_path / "run"
    # An override behind an option belongs to the recipe too.
    done = train_py("run", path, "--run-dir", folder, "training.lr=1e-4")
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""  # no warning of a library's about itself
    assert "built successfully" not in done.stdout
    assert f"report: {folder / 'report.html'}, {folder / 'report.md'}" in done.stdout
    page = (folder / "report.md").read_text(encoding="utf-8")
    assert "| udpos | English (eng_Latn) |" in page
    (stage,) = (folder / "stages").iterdir()
    assert json.loads((stage / "stage.json").read_text())["label"] == "none.udpos"

    check_that_nothing_is_left(path, folder, capsys)
    evaluated = train_py("evaluate", path, "--checkpoint", stage, "--run-dir", tmp_path / "other")
    assert evaluated.returncode == 0, evaluated.stderr
    results = Path(evaluated.stdout.partition("results: ")[2].strip())
    for reported in (results.parent, tmp_path / "other"):
        assert cli.main(["report", str(reported)]) == 0
        assert capsys.readouterr().out.startswith("tiny: none.udpos\n")
        written = (reported / "report.md").read_text(encoding="utf-8")
        assert written.startswith("# tiny: none.udpos\n") and "| udpos | English (eng_Latn) |" in written
    # A finished run says its recipe, and its report is without a word on the command line what the run printed.
    run = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    assert (run["settings"]["recipe"]["training"]["lr"], run["launches"][0]["overrides"]) == (
        1e-4,
        ["training.lr=1e-4"],
    )
    assert cli.main(["report", str(folder)]) == 0
    assert (folder / "report.md").read_text(encoding="utf-8") == page

    weights = stage / "weights.safetensors"
    weights.write_bytes(weights.read_bytes()[:-5])
    told = one_line("evaluate", path, "--checkpoint", stage, "--run-dir", tmp_path / "other")
    assert told.startswith(f"{weights}: ") and "; " in told


def test_plan_is_json_and_needs_no_process_group(
    values: Values, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write(tmp_path / "recipe.yaml", values)
    assert cli.main(["plan", str(path), "--run-dir", str(tmp_path / "run"), "--json"]) == 0
    plan = json.loads(capsys.readouterr().out)
    assert [stage["label"] for stage in plan["stages"]] == ["none.udpos"]
    loaded = "import sys; sys.argv[0] = 'train.py'; from xstilts import cli; code = cli.main(sys.argv[1:]); "
    script = f"{loaded}sys.exit(code or 'deepspeed' in sys.modules)"
    command = [sys.executable, "-c", script, "plan", str(path), "--run-dir", str(tmp_path / "run")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("arguments", [["--help"], ["launch", "--help"], ["run", "--help"]], ids=" ".join)
def test_help_is_there_at_once(arguments: list[str]) -> None:
    """Nothing that takes long is imported for it."""
    script = """
import sys
from xstilts import cli
try:
    cli.main(sys.argv[1:])
except SystemExit as end:
    assert end.code == 0
print(*{"torch", "transformers", "datasets", "deepspeed", "pydantic", "yaml", "rich", "numpy"} & sys.modules.keys())
"""
    done = subprocess.run([sys.executable, "-c", script, *arguments], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("usage: train.py") and done.stdout.endswith("\n\n"), done.stdout


def test_output_that_nobody_reads_on_is_no_error() -> None:
    """As in `train.py status RUN | head -1`."""
    command = [sys.executable, str(ROOT / "train.py"), "explain"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout and process.stderr
        process.stdout.close()
        assert process.stderr.read() == ""
    assert process.returncode == 141


def test_ctrl_c_in_a_command_of_one_process_is_quiet(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(*arguments: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("xstilts.config.load.load_recipe", interrupted)
    assert cli.main(["plan", "demo"]) == 130
    assert capsys.readouterr().err == ""


def fails(capsys: pytest.CaptureFixture[str], *arguments: object) -> str:
    assert cli.main(list(map(str, arguments))) == 2
    (line,) = capsys.readouterr().err.splitlines()
    return line


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ((), "error: the following arguments are required: COMMAND; see train.py --help"),
        (("rnu",), "error: argument COMMAND: invalid choice: 'rnu' (choose from 'run', 'evaluate',"),
        (("run",), "error: the following arguments are required: recipe, "),
        (("run", "demmo"), "error: no recipe 'demmo': neither a file nor a shipped recipe; did you mean 'demo'?"),
        (("plan", "demo", "training.lr"), "error: override 'training.lr' is not key.path=value; "),
        (("plan", "demo", "--lr", "1"), "error: unknown argument '--lr'; see train.py COMMAND --help"),
        (("evaluate", "demo"), "error: the following arguments are required: --checkpoint; see train.py evaluate"),
        (("report", "nowhere"), "error: nowhere/results.jsonl: no scores there; give the directory of a run"),
        (("report", "a", "--baselin"), "error: argument --baseline: expected one argument; see train.py report --help"),
        (
            ("score", "--suite", "xtrem", "--predictions", "a", "--labels", "b"),
            "error: unknown suite 'xtrem'; did you mean 'xtreme'?",
        ),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_a_mistake_on_the_command_line_is_one_line(
    capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], told: str
) -> None:
    assert fails(capsys, *arguments).startswith(told)


def test_an_unknown_key_in_the_deepspeed_json(
    values: Values, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    deepspeed = tmp_path / "zero.json"
    deepspeed.write_text('{\n "zero_optimization": {\n  "stage": 1,\n  "overlap_com": true\n }\n}\n')
    values["runtime"]["deepspeed"] = str(deepspeed)
    path = write(tmp_path / "recipe.yaml", values)
    told = fails(capsys, "plan", path, "--run-dir", tmp_path / "run")
    assert told == f"error: {deepspeed}:4: unknown key 'zero_optimization.overlap_com'; did you mean 'overlap_comm'?"


def test_an_unknown_task_and_language(values: Values, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = write(tmp_path / "recipe.yaml", {**values, "targets": {"udposs": {}}})
    assert "did you mean 'udpos'?" in fails(capsys, "plan", path, "--run-dir", tmp_path / "run")
    for key, problem in (("xyz_Latn", "unknown language 'xyz_Latn'"), ("hau_Latn", "has no language 'hau_Latn'")):
        path = write(tmp_path / "recipe.yaml", {**values, "targets": {"udpos": {"languages": [key]}}})
        assert problem in fails(capsys, "plan", path, "--run-dir", tmp_path / "run")
