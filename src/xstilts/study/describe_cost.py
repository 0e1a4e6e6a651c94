"""What a study would cost, in words: a line for each kind of stage, and the whole."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from xstilts.study.cost import StageCost, cost_of, longest_chain
from xstilts.study.hardware import Hardware, find_hardware
from xstilts.study.study import Study


@dataclass(frozen=True)
class StudyCost:
    """The stages that are still to be trained; those of one label cost the same."""

    by_label: dict[str, tuple[int, StageCost, float]]
    """Label -> number of stages, the cost of one, and its hours."""
    hours: float
    """From start to end: the longest chain of stages, or all of them shared by the lanes."""
    device_hours: float
    kept: float
    """Bytes of weights on disk at the end."""
    disk_peak: float


def study_cost(study: Study, device: str, world_size: int, num_lanes: int) -> StudyCost:
    """The cost of training what is missing, each stage on `world_size` ranks, `num_lanes` stages at a time.

    Raises:
        UserError: no such device is known.
    """
    hardware = find_hardware(device)
    missing = study.missing()
    found: dict[str, StageCost] = {}
    for stage in missing:
        if stage.label not in found:
            found[stage.label] = cost_of(study, stage, world_size)
    hours = {label: _hours(cost, hardware, study, world_size) for label, cost in found.items()}
    of_each = [hours[stage.label] for stage in missing]
    counts = {label: sum(stage.label == label for stage in missing) for label in found}
    keeps = study.recipe.runtime.keep_leaf_weights
    kept = sum(found[stage.label].weights for stage in missing if keeps or not stage.is_leaf)
    in_work = max((cost.weights + cost.checkpoints for cost in found.values()), default=0.0)
    return StudyCost(
        {label: (counts[label], cost, hours[label]) for label, cost in found.items()},
        hours=max(sum(of_each) / num_lanes, longest_chain(missing, of_each)),
        device_hours=sum(of_each) * world_size,
        kept=kept,
        disk_peak=kept + num_lanes * in_work,
    )


def describe_cost(study: Study, device: str, world_size: int = 1, num_lanes: int = 1) -> list[str]:
    """Lines of at most 80 columns; none where nothing is left to train."""
    cost = study_cost(study, device, world_size, num_lanes)
    if not cost.by_label:
        return []
    hardware = find_hardware(device)
    lines = [
        f"Estimated for {world_size} x {device} a stage, {num_lanes} at a time: training alone, at a supposed",
        f"{hardware.share:.0%} of the peak and {hardware.seconds_per_step * 1000:.0f} ms a step beside it "
        "(benchmarks/estimates.md)",
        f"{'stage':<26}{'n':>4}{'steps':>8}{'tokens':>9}{'PFLOP':>9}{'hours':>8}{'GB used':>9}",
    ]
    for label, (count, one, hours) in cost.by_label.items():
        numbers = f"{_short(one.num_tokens):>9}{one.flops / 1e15:>9.3g}{hours:>8.2g}{one.memory / 1e9:>9.2g}"
        name = label if len(label) < 26 else label[:24] + "~"
        lines.append(f"{name:<26}{count:>4}{one.stage.num_steps:>8,}{numbers}")
    sent = max(one.sent for _, one, _ in cost.by_label.values())
    lines += [
        f"All: {cost.hours:.2g} hours, {cost.device_hours:.2g} device hours; {cost.kept / 1e9:.2g} GB kept on disk,",
        f"{cost.disk_peak / 1e9:.2g} GB at most; up to {sent / 1e9:.2g} GB given to collectives by each rank in a step",
    ]
    most = max((one for _, one, _ in cost.by_label.values()), key=lambda one: one.memory)
    by_zero = ", ".join(f"{used / 1e9:.2g}" for used in most.by_zero.values())
    device_bytes, host_bytes = most.offloaded
    lines += [
        f"GB used at most at ZeRO 0, 1, 2, 3: {by_zero};",
        f"at 3, all offloaded: {device_bytes / 1e9:.2g}, and {host_bytes / 1e9:.2g} of the host's for each rank",
    ]
    short = [label for label, (_, one, _) in cost.by_label.items() if 0 < hardware.memory < one.memory]
    if short:
        lines.append(f"Does not fit a {device} of {hardware.memory / 1e9:.0f} GB: {', '.join(short)}; take a higher "
                     "ZeRO stage, more ranks or fewer runtime.tokens_per_micro_batch")  # fmt: skip
    return lines


def cost_as_json(study: Study, device: str, world_size: int = 1, num_lanes: int = 1) -> dict[str, Any]:
    """The same for programs, in bytes, FLOPs and hours."""
    cost = study_cost(study, device, world_size, num_lanes)
    stages = {
        label: {
            "count": count,
            "tokens": one.num_tokens,
            "flops": one.flops,
            "memory": one.memory,
            "memory_by_zero": list(one.by_zero.values()),
            "memory_offloaded": dict(zip(("device", "host"), one.offloaded, strict=True)),
            "sent_per_step": one.sent,
            "weights": one.weights,
            "checkpoints": one.checkpoints,
            "hours": hours,
        }
        for label, (count, one, hours) in cost.by_label.items()
    }
    whole = {"hours": cost.hours, "device_hours": cost.device_hours, "kept": cost.kept, "disk_peak": cost.disk_peak}
    return {"device": device, "world_size": world_size, "lanes": num_lanes, "stages": stages, **whole}


def _short(count: float) -> str:
    """85,000 -> 85k."""
    for unit, power in (("T", 1e12), ("G", 1e9), ("M", 1e6), ("k", 1e3)):
        if count >= power:
            return f"{count / power:.3g}{unit}"
    return f"{count:.0f}"


def _hours(cost: StageCost, hardware: Hardware, study: Study, world_size: int) -> float:
    steps = cost.stage.num_steps
    return hardware.seconds(cost.flops, steps, study.deepspeed.precision, world_size) / 3600
