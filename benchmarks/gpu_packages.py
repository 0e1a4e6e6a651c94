"""What `gpu.py` needs, as this process sees it: versions, and what is missing or of another version than required."""

from __future__ import annotations

import configparser
import json
import platform
import shutil
import subprocess
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from packaging.requirements import Requirement

HERE = Path(__file__).resolve().parents[1]


def main() -> None:
    setup = configparser.ConfigParser()
    setup.read(HERE / "setup.cfg")
    lines = [line for line in setup["options"]["install_requires"].splitlines() if line and not line.startswith("#")]
    versions, missing, others = {}, [], []
    for requirement in map(Requirement, [*lines, "accelerate >=1.1"]):
        try:
            versions[requirement.name] = found = version(requirement.name)
        except PackageNotFoundError:
            missing.append(requirement.name)
            continue
        if not requirement.specifier.contains(found, prereleases=True):
            others.append(f"{requirement.name} {found} (not {requirement.specifier})")
    asked = ["nvidia-smi", "--query-gpu=name,driver_version", "--format=csv,noheader"]
    gpu = subprocess.run(asked, capture_output=True, text=True, check=True).stdout if shutil.which(asked[0]) else ""
    found = {
        "date": f"{datetime.now(UTC):%Y-%m-%d}", "python": platform.python_version(), "gpu": gpu.strip(),
        "versions": versions, "missing": missing, "other_versions": others,
    }  # fmt: skip
    print(json.dumps(found))


if __name__ == "__main__":
    main()
