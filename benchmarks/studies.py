"""The small twins of the studies: whether what was planted in the artificial world is found, and a null is not.

    python benchmarks/studies.py > benchmarks/studies.md

Runs what is not finished below `runs/`; `--only NAME` (several times) takes some, `--ranks N` other than two ranks,
`--report` runs nothing and tells what is there.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import page

from xstilts.analysis.asked import asked_of
from xstilts.analysis.questions import answer
from xstilts.analysis.runs import RunResults, missing, read_results
from xstilts.analysis.statistics.answer import Answer, Verdict
from xstilts.analysis.statistics.sentence import render

_ROOT = Path(__file__).resolve().parents[1]


@dataclass(frozen=True)
class Twin:
    """What is known of a small study beforehand."""

    planted: str
    """What was planted, in words."""
    sign: int
    """On which side of no effect it lies; of a ratio, above 1 is positive."""
    effect: str
    """Name of the contrast or slope that has it."""
    null: str
    """Name of the one that has none."""
    nothing: str
    """Why it has none."""


TWINS = {
    "demo": Twin("supertags against supertags shuffled", 1, "planted", "placebo", "words that occur nowhere else"),
    "studies/order-world": Twin(
        "B's labels are shuffled: A then B below B then A", -1, "H1", "placebo", "C's words occur nowhere else"
    ),
    "studies/difficulty-africa-world": Twin(
        "all supertags of two fifths of the sentences are wrong", -1, "H1", "placebo", "an unrelated task"
    ),
    "studies/difficulty-f1-world": Twin(
        "supertags are of English: wrong ones harm it most", 1, "H1", "placebo", "an unrelated task"
    ),
    "studies/nli-variance-world": Twin(
        "nine wrong sentences, others for each seed", 1, "planted", "H1", "NLI shares no label with the target"
    ),
    "studies/similarity-world": Twin(
        "text of a language helps that language", 1, "H1", "placebo", "a measure of nothing"
    ),
    "studies/phang-table-world": Twin(
        "supertags hold word classes", 1, "planted", "placebo", "words that occur nowhere else"
    ),
}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", action="append", choices=TWINS, metavar="NAME")
    parser.add_argument("--ranks", type=int, default=2)
    parser.add_argument("--runs", type=Path, default=_ROOT / "runs", help="where the runs go")
    parser.add_argument("--report", action="store_true", help="run nothing")
    options = parser.parse_args()
    names = options.only or list(TWINS)
    if not options.report:
        for name in names:
            command = ["deepspeed", "--num_gpus", str(options.ranks), "train.py", "run", name]
            command += ["--run-dir", str(options.runs / Path(name).name)]
            subprocess.run(command, cwd=_ROOT, stdout=sys.stderr, check=True)
    _page(names, options.runs)
    return 0


def _page(names: list[str], runs: Path) -> None:
    page.begin("Small studies in an artificial world", "make proof-studies")
    print(INTRODUCTION)
    rows, told = [], []
    for name in names:
        twin, folder = TWINS[name], runs / Path(name).name
        if not (folder / "results.jsonl").exists():
            rows.append([name, twin.planted, "not run", twin.nothing, "not run", "-"])
            continue
        results = read_results(folder)
        answers = _answers(results)
        planted, null = (answers.get(each) for each in (twin.effect, twin.null))
        found = planted is not None and planted.verdict is Verdict.YES and _side(planted) == twin.sign
        called = null is not None and null.verdict is Verdict.YES
        rows.append(
            [
                name,
                twin.planted,
                _said(planted) if found else f"**not found**: {_said(planted)}",
                twin.nothing,
                f"**called**: {_said(null)}" if called else _said(null),
                _cost(results),
            ]
        )
        told += [f"## {name}\n", *(f"- {render(each)}" for each in answers.values()), ""]
    page.table(["study", "planted", "found", "null", "answer to it", "minutes, ranks"], rows)
    print("\n".join(told))
    print(LEARNT)


def _answers(results: RunResults) -> dict[str, Answer]:
    """Name of the contrast or slope -> its answer."""
    asked = asked_of([results])
    assert asked is not None and not missing(results), f"{results.name} is not finished"
    found = answer(asked.question, results.rows, asked.scored, asked.seeds)
    return {each.name.partition(" ")[0]: each for each in found.answers}


def _side(found: Answer) -> int:
    return 1 if found.effect > found.scale.value else -1


def _said(found: Answer | None) -> str:
    if found is None:
        return "no answer"
    low, high = found.interval
    return f"{found.verdict.value}, {found.effect:+.2f} ({low:+.2f} to {high:+.2f})"


def _cost(results: RunResults) -> str:
    """Minutes of all launches, and on how many ranks the last one ran."""
    assert results.run is not None
    spans = [launch.end - launch.start for launch in results.run.launches if launch.end is not None]
    return f"{sum(span.total_seconds() for span in spans) / 60:.0f}, {results.run.launches[-1].world_size}"


INTRODUCTION = """\
Each study of `recipes/studies` has a twin that extends it with an artificial world, in which something is planted
that must be found and something that must not. *Found*: the verdict is yes on the side where it was planted. A null
may be called by chance in one of twenty. Effects are points, of a spread times that of the baseline, of a slope
points per unit, each with the interval at Holm's level. Minutes are of a machine with a load of 3 to 8.
"""

LEARNT = """\
## What was learnt

An earlier twin of `order` was to be found and was not: A was named entities, B supertags of which all were wrong,
another word's. After two seeds A then B was 0.35 points below B then A, with an interval of 200 points to either side:
named entities harm this target as much as wrong supertags do, so that it hardly matters which comes last, and seeds
differ by more. What is planted must be larger than what the tasks do of themselves. B now are A's own sentences with
their labels shuffled.

An earlier twin of `difficulty-africa` was not found either: -0.34 points (97.5 % interval -5.58 to +4.90, 5 seeds).
Two fifths of the supertags were wrong, word by word. The reference did rank by them (correlation of hardness with the
share of wrong ones 0.51), but a sentence has nine words: the hardest third had 50 % wrong and the easiest 31 %, and a
model that sees each word in many sentences learns through either. Now sentences are right or wrong as a whole: 97 %
of the supertags of the hardest third are wrong, none of the easiest. Labels that are wrong at random harm little, and
noise that is spread over all examples gives a reference stage nothing to part them by.

Two earlier plants of `nli-variance` were not found. Nine right sentences of supertags, other nine for each seed, at
three times the learning rate: 0.79 times the spread (97.5 % interval 0.35 to 1.87), for after 80 steps on the
target seeds of `none` have standard deviations of 0.6, 2.0 and 4.7 points in the three languages: the target's own
training takes most of what differed before it, and the farthest language makes up most of the spread that is left.
The same at ten times the learning rate, 30 steps on the target and the two nearer languages: 0.51 times (0.23 to
1.03), since nine right sentences help, and what helps makes seeds alike. The plant now harms, and its languages are
near to English. It is found narrowly: ten seeds find a ratio of 3.3 four times in five.

On real text there is [africa-pos](africa_pos/README.md), and beside it [order](order/README.md),
[similarity](similarity/README.md) and [difficulty-f1](difficulty_f1/README.md); twenty seeds of one arm are in
[same_arm.md](same_arm.md), those in the world in [same_arm_world.md](same_arm_world.md).
"""


if __name__ == "__main__":
    sys.exit(main())
