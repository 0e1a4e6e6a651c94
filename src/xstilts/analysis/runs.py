"""Run directories as a report takes them: their rows, what they say of themselves, and what they lack."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from xstilts.core.errors import UserError, did_you_mean
from xstilts.evaluation.rows import OTHER_RESULTS, Row, read_rows
from xstilts.study.own_tasks import register_own_tasks
from xstilts.study.provenance import Launch, Run, read_run

_BASELINE = "none"
"""The arm that is taken where no run says another."""


@dataclass(frozen=True)
class RunResults:
    """One run directory."""

    name: str
    rows: list[Row]
    run: Run | None
    """What it says of itself; None where there is no `run.json`."""

    @property
    def precisions(self) -> str:
        """What its rows were computed in."""
        return " and ".join(sorted({row.precision for row in self.rows}))


def read_results(run_dir: Path, selection: str | None = None) -> RunResults:
    """The directory of a study, the folder of an evaluated checkpoint, or the directory of a run that holds one such.

    Rows are those of the primary rule that selects weights; with `selection` those of that rule, and of weights that
    nothing selects.

    Raises:
        UserError: there are no scores.
    """
    folder = run_dir
    if not (run_dir / "results.jsonl").is_file():
        evaluated = sorted(path.parent for path in run_dir.glob("evaluations/checkpoint-*/results.jsonl"))
        if len(evaluated) > 1:
            names = ", ".join(map(str, evaluated))
            raise UserError.at(run_dir, None, f"{len(evaluated)} checkpoints are evaluated there", f"give one: {names}")
        folder = evaluated[0] if evaluated else run_dir
    path = folder / "results.jsonl"
    rows = list(read_rows(path)) if path.is_file() else []
    if rows and selection is not None:
        others = folder / OTHER_RESULTS
        every = [*rows, *(read_rows(others) if others.is_file() else ())]
        rows = [row for row in every if row.selection == selection]
        if not rows:
            rules = did_you_mean(selection, {row.selection for row in every})
            raise UserError(f"--selection {selection}: {run_dir} has no scores of weights selected so; {rules}")
        rows += [row for row in every if row.selection == "pretrained"]
    if not rows:
        raise UserError(f"{path}: no scores there; give the directory of a run that has scored something")
    run = read_run(folder)
    if run:
        register_own_tasks(run)
    return RunResults(run_dir.resolve().name, rows, run)


def title_of(results: Sequence[RunResults]) -> str:
    """The titles of the runs' recipes."""
    return "; ".join(dict.fromkeys(each.run.title for each in results if each.run)) or "Report"


def baseline_of(results: Sequence[RunResults], told: str | None) -> str:
    """The arm that changes are reported against: the one told, else the first run's own.

    Raises:
        UserError: the one told is not scored, or neither it nor any run says which it is.
    """
    arms = list(dict.fromkeys(row.arm for each in results for row in each.rows))
    if told is not None and told not in arms:
        raise UserError(f"--baseline {told}: no such arm is scored; {did_you_mean(told, arms)}")
    named = [told] if told is not None else [each.run.baseline for each in results if each.run]
    if named:
        return named[0]
    if _BASELINE in arms or len(arms) == 1:
        return _BASELINE if _BASELINE in arms else arms[0]
    raise UserError(f"there is no arm '{_BASELINE}'; give --baseline: {', '.join(arms)}")


def notes(results: Sequence[RunResults], baseline: str) -> list[str]:
    """What a reader must know before comparing: sentences, none where there is nothing."""
    caveats = dict.fromkeys(caveat for each in results if each.run for caveat in each.run.caveats)
    found = [" ".join(caveats)] if caveats else []
    precisions = {each.name: each.precisions for each in results}
    if len({row.precision for each in results for row in each.rows}) > 1:
        found.append(f"Precision differs: {_each(precisions.items())}. No change is taken between precisions.")
    baselines = {each.name: f"`{each.run.baseline}`" for each in results if each.run}
    if len(set(baselines.values())) > 1:
        found.append(f"The runs name different baselines: {_each(baselines.items())}; here it is `{baseline}`.")
    if not any(row.arm == baseline for each in results for row in each.rows):
        found.append(f"Arm `{baseline}`, the baseline, is not scored yet: there are no changes.")
    for each in results:
        if each.run and each.run.precision not in {row.precision for row in each.rows}:
            found.append(
                f"The newest launch of {each.name} computes in {each.run.precision} and has scored nothing yet: "
                "these are results of an earlier one."
            )
    return found


def selection_notes(run_dirs: Sequence[Path], selection: str | None) -> list[str]:
    """Which rule has selected the weights that are scored, where it is not the primary one or there are others."""
    if selection is not None:
        told = "the target's own dev data, which zero-shot transfer does not have" if selection == "oracle" else ""
        return [f"Scores are of weights selected by the rule `{selection}`{': by ' + told if told else ''}."]
    paths = [run_dir / OTHER_RESULTS for run_dir in run_dirs]
    rules = dict.fromkeys(row.selection for path in paths if path.is_file() for row in read_rows(path))
    listed = ", ".join(f"`{rule}`" for rule in rules)
    return [f"Other weights of the same trainings are scored too: {listed} (`report --selection`)."] if rules else []


def missing(results: RunResults) -> list[str]:
    """What a run is to have and has not, a line per arm and target."""
    if results.run is None:
        return []
    there: dict[tuple[str, str, int], set[str]] = {}
    for row in results.rows:
        there.setdefault((row.arm, row.task, row.seed), set()).add(row.language)
    expected, lines = results.run.expected, []
    for arm in expected.arms:
        for target, languages in expected.targets.items():
            if not expected.has(arm, target):
                continue
            lacking: dict[tuple[str, ...], list[int]] = {}
            for seed in expected.seeds:
                absent = tuple(key for key in languages if key not in there.get((arm, target, seed), ()))
                if absent:
                    lacking.setdefault(absent, []).append(seed)
            for absent, seeds in lacking.items():
                which = "" if len(absent) == len(languages) else f", {', '.join(absent)}"
                lines.append(f"{arm} -> {target}, seed {', '.join(map(str, seeds))}{which}")
    return lines


def summary(results: RunResults) -> str:
    """A run in a line: where, in what and by which source it was computed, and how its launches ended."""
    if results.run is None:
        return f"{results.name}: {results.precisions}; it has no run.json"
    last = results.run.launches[-1]
    hosts = ", ".join(host.name for host in last.hosts)
    devices = ", ".join(dict.fromkeys(device for host in last.hosts for device in host.devices))
    versions = ", ".join(f"{name} {last.versions.get(name)}" for name in ("xstilts", "torch", "deepspeed"))
    parts = [
        f"{results.name}: {results.precisions}, {last.world_size} rank{_s(last.world_size)} on {hosts} ({devices})",
        f"{versions}, {_commit(last)}",
        *_ends(results.run.launches),
        *_cost(results.run.launches),
    ]
    return "; ".join(parts)


def _commit(launch: Launch) -> str:
    source = launch.source
    if source.commit is None:
        return f"commit unknown ({source.unknown_because})"
    return f"commit {source.commit[:12]}{' with changes' if source.dirty else ''}"


def _ends(launches: Sequence[Launch]) -> list[str]:
    """How many launches there were, and those that did not end well."""
    odd = []
    for number, launch in enumerate(launches, start=1):
        if launch.end is None:
            odd.append(f"launch {number} of {launch.start:%Y-%m-%d %H:%M} UTC is running, or was killed")
        elif launch.exit:
            odd.append(f"launch {number} ended with code {launch.exit} ({launch.reason})")
    return [f"{len(launches)} launch{'es' if len(launches) > 1 else ''}", *odd]


def _cost(launches: Sequence[Launch]) -> list[str]:
    """The time of the launches that ended, and that of all their ranks together."""
    spans = [(each.end - each.start, each.world_size) for each in launches if each.end is not None]
    if not spans:
        return []
    minutes = sum(span.total_seconds() for span, _ in spans) / 60
    rank_hours = sum(span.total_seconds() * ranks for span, ranks in spans) / 3600
    return [f"took {minutes:,.0f} minutes, {rank_hours:,.1f} rank-hours"]


def _s(number: int) -> str:
    return "" if number == 1 else "s"


def _each(items: Iterable[tuple[str, str]]) -> str:
    return ", ".join(f"{name} {what}" for name, what in items)
