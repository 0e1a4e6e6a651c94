"""The page of `gpu.py`: what was to be reached, whether it was, and every cell's figures."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from page import table

PEAK = 989e12
"""Dense bf16 of H100 and H200 SXM, by the datasheet."""
Found = Mapping[str, Mapping[str, Any]]


def write_page(folder: Path) -> None:
    """Of all runs into the folder; of a cell that ran more than once, the last."""
    lines = (folder / "gpu.jsonl").read_text(encoding="utf-8").splitlines()
    found: dict[str, dict[str, Any]] = {}
    for record in map(json.loads, lines):
        found[record["cell"]] = record
    heading(found)
    if found["packages"]["gpu"]:
        table(("figure", "goal", "found", "met"), goals(found))
        for section in (ladder, lanes, rivals, evaluation):
            section(found)
    checks(found)
    cells(found)


def heading(found: Found) -> None:
    about = found["packages"]
    versions = ", ".join(f"{name} {about['versions'][name]}" for name in ("torch", "deepspeed", "transformers")
                         if name in about["versions"])  # fmt: skip
    arguments = "" if about["gpu"] else " --size tiny --budget SECONDS"
    print("# One GPU\n")
    print(f"{about['date']}, {about['gpu'] or 'CPU'}, Python {about['python']}, {versions}.")
    print(f"Made by `python benchmarks/gpu.py --out FOLDER --wheels FOLDER{arguments}`.\n")
    if not about["gpu"]:
        print("No GPU could be had: no figure of this project comes from one. This is a trial of every cell on a CPU,")
        print(
            "with 2 layers of width 64, beside other work. Its speeds say nothing and are left out: the tables of the"
        )
        print("ladder, the lanes, HF Trainer and evaluation, and whether goals are met, are printed for a GPU.\n")
    for what in ("missing", "other_versions"):
        if about[what]:
            print(f"Packages, {what.replace('_', ' ')}: {', '.join(about[what])}.\n")


def goals(found: Found) -> list[tuple[object, ...]]:
    """Each with what was found, as far as its cells were measured."""
    middle = "32768 tokens, "
    ours, flops = best(found, middle), best(found, middle, key="flops_per_second")
    hf = {flags: best(found, f"HF {flags}, ", "32768 tokens") for flags in ("best", "default")}
    hf_32 = found.get("HF default, batch 32", {}).get("tokens_per_second")
    gemm = found.get("ceilings", {}).get("gemm_flops")
    return [
        goal("MFU at 32k tokens, % of 989 TF/s", flops, PEAK / 100, 45),
        goal("the same, % of the matrix product measured here", flops, gemm and gemm / 100, None),
        goal("real tokens per second at 32k tokens, times HF's at its best flags", ours, hf["best"], 1.3),
        goal("the same, times HF's at default flags", ours, hf["default"], 3),
        goal("real tokens per second at batch 32 with lanes, times HF's at default flags", at_batch(found), hf_32, 3),
    ]


def goal(name: str, ours: float | None, theirs: float | None, wanted: float | None) -> tuple[object, ...]:
    told = "" if wanted is None else f"at least {wanted}"
    if not ours or not theirs:
        return name, told, "not measured", ""
    met = "" if wanted is None else "yes" if ours / theirs >= wanted else "no"
    return name, told, f"{ours / theirs:.2f}", met


def best(found: Found, *parts: str, key: str = "tokens_per_second") -> float | None:
    """The highest figure of the cells whose names have all parts, and begin with `HF` if the first part does."""
    of_hf = parts[0].startswith("HF")
    values = [
        record[key]
        for name, record in found.items()
        if name.startswith("HF") == of_hf and all(part in name for part in parts) and key in record
    ]
    return max(values, default=None)


def at_batch(found: Found) -> float | None:
    """Real tokens per second at batch 32, with the best number of lanes."""
    of_lanes = [record.get("batch 32", {}) for name, record in found.items() if name.startswith("lanes")]
    return max((each["tokens_per_second"] for each in of_lanes if "tokens_per_second" in each), default=None)


def checks(found: Found) -> None:
    print("## Is it right\n")
    rows = []
    resumed = [name for name in found if name.startswith("resume")]
    for name in ("smoke", "group", *resumed, *(["ceilings"] if found["packages"]["gpu"] else [])):
        for key, value in found.get(name, {}).items():
            if key not in ("cell", "at", "took", "about", "error"):
                rows.append((name, key.replace("_", " "), shown(value)))
    table(("cell", "what", "found"), rows)
    print("`smoke`: attention's output and gradients against a dense mask's on the CPU in fp64, the largest relative")
    print("deviation; `dropout masks off`: gradients against those of the masks that the output was drawn with; the")
    print("mean of ones under a dropout of 0.1. `group`: a sum over the process group, of one rank. `resume`: 2n steps")
    print("against n, an end, and n more, dropout on.\n")


def ladder(found: Found) -> None:
    print("## The ladder\n")
    ceiling = found.get("ceilings", {}).get("gemm_flops")
    rows = []
    for name, record in found.items():
        if "flops_per_second" not in record:
            continue
        flops = record["flops_per_second"]
        peak = f"{record['peak_bytes'] / 1e9:.1f}" if "peak_bytes" in record else ""
        rung = f" ({record['rung']})" if "rung" in record else ""
        rows.append((name + rung, f"{record['tokens_per_step']:,.0f}", f"{record['seconds_per_step']:.3f}",
                     f"{record['tokens_per_second']:,.0f}", f"{flops / 1e12:.4g}", f"{flops / PEAK:.2%}",
                     f"{flops / ceiling:.1%}" if ceiling else "", peak, record["slow_steps_left_out"]))  # fmt: skip
    columns = ("cell", "tokens a step", "s a step", "tokens/s", "TF/s", "of 989 TF/s", "of the GEMM here", "peak GB",
               "slow steps left out")  # fmt: skip
    table(columns, rows)
    print("FLOPs are `xstilts.model.flops`: 6 for each layer weight and token, and attention over the segments' own")
    print("lengths; embeddings and what is computed twice do not count. The last layer counts whole, though no more of")
    print(
        "it is computed than heads read: of 24 layers it is 4 % at most. Times are from `steps.jsonl`, tokens real.\n"
    )


def lanes(found: Found) -> None:
    print("## Small batches, several lanes on one device\n")
    rows: list[tuple[object, ...]] = []
    for name, record in found.items():
        for batch, told in record.items():
            if name.startswith("lanes") and batch.startswith("batch"):
                speeds = [f"{told[key]:,.1f}" if key in told else "" for key in FIGURES]
                rows.append(
                    (
                        name.removeprefix("lanes "),
                        record.get("rung", ""),
                        batch.removeprefix("batch "),
                        *speeds,
                        told.get("error", ""),
                    )
                )
    table(("lanes", "rung", "batch", "tokens/s", "steps/s", "window, s", "steps in it", ""), rows)
    print("All lanes together while each of them trains a stage of that batch size: from when the last has taken its")
    print("first steps to when the first one ends, by the times in `steps.jsonl`; start, saving and scoring lie")
    print("outside.\n")


FIGURES = ("tokens_per_second", "steps_per_second", "window_seconds", "steps_in_window")


def rivals(found: Found) -> None:
    print("## HF Trainer\n")
    rows = []
    for name, record in found.items():
        if not name.startswith("HF") or "tokens_per_second" not in record:
            continue
        theirs = record["tokens_per_second"]
        size = name.split(", ")[1]
        ours = best(found, f"{size}, ")
        if size.startswith("batch"):
            ours = max(filter(None, (ours, at_batch(found))), default=None)
        padding = record["places_per_token"]
        rows.append((name, f"{theirs:,.0f}", f"{record['seconds_per_step']:.3f}", f"{padding:.2f}",
                     f"{ours / theirs:.2f}" if ours else "", record["attention"],
                     record["slow_steps_left_out"]))  # fmt: skip
    table(("cell", "real tokens/s", "s a step", "places per token", "the best of this over it", "attention",
           "slow steps left out"), rows)  # fmt: skip


def evaluation(found: Found) -> None:
    print("## Evaluation\n")
    told = [(name, record) for name, record in found.items() if name.startswith("evaluation") and "seconds" in record]
    rows = [(name, f"{each['num_tokens']:,}", f"{each['seconds']:.2f}", f"{each['tokens_per_second']:,.0f}")
            for name, each in told]  # fmt: skip
    table(("cell", "tokens", "s", "tokens/s"), rows)
    print(
        "`here`: forwards, decoding, metrics, intervals and files; `hf`: `Trainer.predict`, forwards alone, the better"
    )
    print("of two settings. Features are read before; start-up is not counted.\n")


def cells(found: Found) -> None:
    print("## Cells\n")
    rows = [(name, shown(record.get("about", "")), shown(record.get("took", "")), shown(record["at"]),
             last_line(record.get("error", ""))) for name, record in found.items()]  # fmt: skip
    table(("cell", "supposed s on an H100", "took s", "at s", "error"), rows)
    supposed = sum(record.get("about", 0) for record in found.values())
    print(f"Together they are supposed to take {supposed:.0f} s on an H100, by arithmetic and by starts seen on a CPU.")


def last_line(error: str) -> str:
    """Of a traceback what it says."""
    lines: Sequence[str] = error.strip().splitlines() or [""]
    return lines[-1][:160].replace("|", "/")


def shown(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
