"""What says what would run starts without the libraries that compute."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path

import yaml

from xstilts import cli
from xstilts.synthetic import write_world
from xstilts.synthetic.settings import World

RECIPE = {
    "name": "tiny",
    "data": {"max_length": 64, "doc_stride": 16},
    "model": {"config": {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}},
    "runtime": {"deepspeed": "zero1_fp32_cpu", "tokens_per_micro_batch": 1024},
    "training": {"steps": 1, "batch_size": 4},
    "arms": {"none": [], "pairs": [{"tasks": ["mnli"]}]},
    "targets": {"udpos": {"languages": ["qaa_Latn"]}, "tatoeba": {"languages": ["qaa_Latn"]}},
    "seeds": [1, 2, 3],
    "question": {
        "ask": "Does it?",
        "contrasts": {"H1": {"arm": "pairs", "against": "none"}},
        "targets": ["udpos"],
        "estimand": "these_languages",
        "matters": 2.0,
    },
}
LIBRARIES = ["torch", "transformers", "datasets", "deepspeed", "pandas", "scipy.stats", "matplotlib"]
SCRIPT = """
import contextlib, io, json, sys
from xstilts.cli import main, parse
from xstilts.core.errors import UserError

commands, libraries = json.loads(sys.argv[1])
found = {}
for arguments in commands:
    with contextlib.redirect_stdout(io.StringIO()) as said, contextlib.suppress(SystemExit):
        assert main(arguments) == 0
    found[" ".join(arguments[:1])] = [name for name in libraries if name in sys.modules]
print(json.dumps(found))
"""


def command_names() -> list[str]:
    (commands,) = (action for action in cli._parser()._actions if isinstance(action, argparse._SubParsersAction))
    return list(commands.choices)


def test_plan_and_help_load_no_library_that_computes(tmp_path: Path) -> None:
    sizes = {"num_train": 24, "num_dev": 8, "num_test": 6, "num_text": 30, "num_bitext": 10, "num_pieces": 300}
    write_world(World(languages={"qaa_Latn": 0.3}, **sizes), tmp_path / "world")
    recipe, run_dir = tmp_path / "tiny.yaml", tmp_path / "run"
    recipe.write_text(yaml.safe_dump({**RECIPE, "data": {**RECIPE["data"], "root": str(tmp_path / "world")}}))
    run_dir.mkdir()
    plan = ["plan", str(recipe), "--run-dir", str(run_dir)]
    assert cli.main(plan) == 0  # tokenises, with the libraries that it takes
    helps = [["--help"], *([name, "--help"] for name in command_names())]
    commands = [*helps, ["tasks"], ["explain"], plan]
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, json.dumps([commands, LIBRARIES])], capture_output=True, text=True, check=True
    )
    assert json.loads(done.stdout) == {command[0]: [] for command in commands}
