"""What a run says it ran: the content of `run.json`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, ValidationError

from xstilts.core.errors import StorageError, UserError

RUN_FILE = "run.json"
LAUNCHES = "launches"
"""Folder beside it, with a file for each launch: launches of one study may run at the same time."""


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True)


class Expected(_Section):
    """The results that a run is to have: of every arm, target and seed, in the target's languages."""

    arms: list[str]
    targets: dict[str, list[str]]
    """Target task -> languages."""
    seeds: list[int]
    without: dict[str, list[str]] = {}
    """Target -> arms of which it has no result: their own head is to predict it and there is none."""

    def has(self, arm: str, target: str) -> bool:
        """Whether the arm is to be scored on the target."""
        return arm not in self.without.get(target, ())


class PlannedStage(_Section):
    """A stage that the study trains."""

    id: str
    label: str
    seed: int
    num_steps: int


class Source(_Section):
    """The source that runs."""

    commit: str | None
    """Of the checkout that it lies in; None where there is none, as for an installed wheel, or where git is absent."""
    dirty: bool | None
    """Whether the package's files differ from the commit's, new ones included."""
    unknown_because: str | None
    """Why there is no commit."""
    digest: str
    """SHA-256 over the package's modules, whatever git knows."""


class Parameters(_Section):
    """Numbers of trained values."""

    encoder: int
    """Without its embeddings."""
    embeddings: int
    heads: dict[str, int]
    """Task -> those of its head, of every head that some stage trains; without a tied matrix of embeddings."""


class Settings(_Section):
    """What a launch was told to compute, and how."""

    recipe: dict[str, Any]
    """Resolved: overrides, inherited values and defaults in their places."""
    deepspeed_file: str
    deepspeed: dict[str, Any]
    """That file as the trainer takes it. What depends on the stage is in each stage's `stage.json`."""


class Host(_Section):
    """Where ranks ran."""

    name: str
    ranks: list[int]
    devices: list[str]
    """One of each kind."""


class Launch(_Section):
    """One launch of the run."""

    id: str = ""
    """Names its file; empty for launches of versions that wrote none."""
    start: AwareDatetime
    end: AwareDatetime | None
    """None while it runs, and for good if it could not say: it was killed (SIGKILL, out of memory, loss of power)."""
    exit: int | None
    """Exit code of rank 0; 0 if all was done."""
    reason: str
    """The error that ended it."""
    world_size: int
    hosts: list[Host]
    overrides: list[str]
    """As typed."""
    precision: str
    settings: str
    """Digest of its settings: those of the run, or among the `earlier` ones."""
    versions: dict[str, str | None]
    source: Source


class About(_Section):
    """What a launch says of the run."""

    name: str
    title: str
    baseline: str
    """The arm that changes are reported against."""
    precision: str
    """What everything is trained and scored in."""
    caveats: list[str]
    """Sentences of the pretrained model's that belong beside every result."""
    expected: Expected
    stages: list[PlannedStage] = []
    """Those that are trained for it, parents first; none for an evaluated checkpoint, nor in older runs."""
    sweeps: list[dict[str, Any]] = []
    """Label of a stage, option, seeds and scores of its pilots by value, and the value that they have chosen."""
    parameters: Parameters
    settings: Settings
    checkpoint: dict[str, Any] | None
    """`origin` of the `stage.json` that is evaluated; None for a study."""


class LaunchFile(About):
    """The content of `launches/<id>.json`: a launch, and its word on the run. No other launch writes it."""

    format: Literal[1]
    launch: Launch


class Run(About):
    """The content of `run.json`: the newest launch's word on the run, and every launch.

    Each launch writes it, at its beginning and its end, from the files of all: `read_run` reads those as well, for of
    two launches that write at the same time one may not have seen the other.
    """

    format: Literal[1]
    launches: list[Launch]
    """Oldest first."""
    earlier: dict[str, Settings]
    """Digest -> settings of launches that had others than the newest one."""


def read_run(folder: Path) -> Run | None:
    """What a run directory says of itself; None if nothing. A damaged file is a user's error."""
    told = [read_told(path, kind) for path, kind in paths_of(folder)]
    written = next((each for each in told if isinstance(each, Run)), None)
    return _joined(written, [each for each in told if isinstance(each, LaunchFile)])


def paths_of(folder: Path) -> list[tuple[Path, type[Run] | type[LaunchFile]]]:
    """The files in which a run directory says something of itself, and what each one holds."""
    launches = sorted((folder / LAUNCHES).glob("[!.]*.json"))
    return [(folder / RUN_FILE, Run), *((path, LaunchFile) for path in launches)]


def _joined(written: Run | None, files: Sequence[LaunchFile]) -> Run | None:
    """The run that a `run.json` and the files of its launches tell of together; the newest launch has its word."""
    if not files:
        return written
    newest = max(files, key=lambda file: file.launch.start)
    alike = [file for file in files if file.settings.recipe == newest.settings.recipe]
    # Of launches at the same time an older one may live to see what sweeps choose.
    chosen = max(alike, key=lambda file: (sum(s["chosen"] is not None for s in file.sweeps), file.launch.start))
    known = {file.launch.id for file in files}
    launches = [launch for launch in (written.launches if written else []) if launch.id not in known]
    launches += [file.launch for file in files]
    settings = {**written.earlier, written.launches[-1].settings: written.settings} if written else {}
    settings |= {file.launch.settings: file.settings for file in files}
    used = {launch.settings for launch in launches} - {newest.launch.settings}
    about = {name: value for name, value in newest if name in About.model_fields}
    return Run(
        **{**about, "stages": chosen.stages, "sweeps": chosen.sweeps},
        format=1,
        launches=sorted(launches, key=lambda launch: launch.start),
        earlier={digest: told for digest, told in settings.items() if digest in used},
    )


def read_told(path: Path, kind: type[Run] | type[LaunchFile]) -> Run | LaunchFile | None:
    """The content of one file; None where there is none."""
    try:
        return kind.model_validate_json(path.read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise StorageError(f"{path}: cannot be read ({error.strerror or error}); try again when it can") from None
    except ValidationError as error:
        detail = error.errors(include_url=False)[0]
        place = ".".join(map(str, detail["loc"])) or "not JSON"
        raise UserError.at(path, place, detail["msg"], "remove the file: the next launch writes it anew") from None
