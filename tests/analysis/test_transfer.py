"""Changes against the baseline arm, worked out by hand."""

from __future__ import annotations

from typing import Any

import pytest

from xstilts.analysis.transfer import Cell, compare, means
from xstilts.core.errors import UserError
from xstilts.evaluation.rows import Row


def row(arm: str, value: float, seed: int = 0, **fields: Any) -> Row:
    given = {
        "stage": "s",
        "task": "xnli",
        "language": "swh_Latn",
        "split": "test",
        "metric": "accuracy",
        "low": value - 2,
        "high": value + 4,
        "chance": 33.0,
        "majority": 35.0,
        "num_examples": 100,
        "seeds": "-".join([str(seed)] * (1 if arm == "none" else 3)),
        "selection": "last",
        "primary": True,
        "precision": "fp32",
    }
    return Row(arm=arm, value=value, seed=seed, **{**given, **fields})


def cell_of(cells: list[Cell], arm: str, language: str = "swh_Latn") -> Cell:
    (found,) = [cell for cell in cells if (cell.arm, cell.language) == (arm, language)]
    return found


def test_no_change_is_taken_between_precisions() -> None:
    rows = [row("none", 40, 0), row("none", 50, 1), row("mixed", 44, 0, precision="bf16"), row("mixed", 55, 1)]
    mixed = cell_of(compare(rows, "none"), "mixed")
    assert mixed.change.by_seed == {1: 5.0}
    assert mixed.scores == {0: 44, 1: 55}


def test_arms_are_paired_by_the_studys_seed() -> None:
    rows = [row("none", 40, 0), row("none", 50, 1), row("none", 45, 2)]
    rows += [row("mixed", 55, 1), row("mixed", 44, 2), row("mixed", 42, 0)]
    cell = cell_of(compare(rows, "none"), "mixed")
    assert cell.scores == {0: 42, 1: 55, 2: 44}
    assert cell.change.by_seed == {0: 2, 1: 5, 2: -1}
    assert cell.change.mean == 2.0
    # Standard deviation 3, standard error 3 / sqrt(3), 97.5 % quantile of t with 2 degrees of freedom 4.302653.
    assert cell.change.interval == pytest.approx((2 - 4.302653 * 3 / 3**0.5, 2 + 4.302653 * 3 / 3**0.5), abs=1e-5)
    assert cell.score == pytest.approx(47.0)
    assert cell.interval == pytest.approx((45.0, 51.0))


def test_one_pair_has_a_change_and_no_interval() -> None:
    cells = compare([row("none", 40), row("mixed", 43)], "none")
    assert cell_of(cells, "mixed").change.mean == 3.0
    assert cell_of(cells, "mixed").change.interval is None


def test_the_baseline_itself_and_what_it_lacks_have_no_change() -> None:
    rows = [row("mixed", 43), row("none", 40), row("mixed", 50, language="deu_Latn"), row("mixed", 44, seed=1)]
    cells = compare(rows, "none")
    assert cell_of(cells, "none").change.mean is None
    assert cell_of(cells, "mixed", "deu_Latn").change.mean is None
    # Seed 1 has no partner: it counts in the score and not in the change.
    assert cell_of(cells, "mixed").scores == {0: 43, 1: 44}
    assert cell_of(cells, "mixed").change.by_seed == {0: 3}


def test_runs_at_or_below_chance_or_the_constant_prediction_are_counted() -> None:
    rows = [row("none", value, seed) for seed, value in enumerate((34.0, 35.0, 35.1))]
    assert cell_of(compare(rows, "none"), "none").num_collapsed == 2
    rows = [row("none", value, seed, majority=None) for seed, value in enumerate((33.0, 34.0))]
    assert cell_of(compare(rows, "none"), "none").num_collapsed == 1


def test_cells_of_a_line_stand_together_in_order_of_first_appearance() -> None:
    rows = [row(arm, 40, language=language) for arm in ("none", "b", "a") for language in ("swh_Latn", "deu_Latn")]
    assert [(cell.language[:3], cell.arm) for cell in compare(rows, "none")] == [
        *(("swh", "none"), ("swh", "b"), ("swh", "a")),
        *(("deu", "none"), ("deu", "b"), ("deu", "a")),
    ]


def test_splits_and_metrics_are_never_mixed() -> None:
    rows = [row("none", 40), row("none", 60, split="dev"), row("none", 70, metric="other", primary=False)]
    rows += [row("mixed", 50), row("mixed", 61, split="dev"), row("mixed", 72, metric="other", primary=False)]
    changes = [cell.change.mean for cell in compare(rows, "none") if cell.arm == "mixed"]
    assert changes == [10, 1, 2]


def test_the_same_arm_and_seed_twice_is_an_error() -> None:
    with pytest.raises(
        UserError, match="arm 'mixed', seed 4 is scored twice on xnli, swh_Latn, test, accuracy; report"
    ):
        compare([row("mixed", 40, 4), row("mixed", 41, 4)], "none")


def test_means_over_languages_are_unweighted_and_paired_by_seed() -> None:
    rows = [row("none", 40, seed, language=key) for seed in (0, 1) for key in ("swh_Latn", "deu_Latn")]
    rows += [row("mixed", 42, 0), row("mixed", 48, 0, language="deu_Latn")]
    rows += [row("mixed", 46, 1), row("mixed", 50, 1, language="deu_Latn")]
    none, mixed = means(compare(rows, "none"))
    assert (none.score, none.change.mean, none.num_languages) == (40, None, 2)
    assert mixed.score == pytest.approx((44 + 49) / 2)
    assert mixed.change.by_seed == {0: 5, 1: 8}
    # Two changes, 5 and 8: standard error 1.5, quantile of t with one degree of freedom 12.7062.
    assert mixed.change.interval == pytest.approx((6.5 - 12.7062 * 1.5, 6.5 + 12.7062 * 1.5), abs=1e-3)


def test_a_seed_that_lacks_a_language_is_left_out_of_the_mean_change() -> None:
    rows = [row("none", 40, seed, language=key) for seed in (0, 1) for key in ("swh_Latn", "deu_Latn")]
    rows += [row("mixed", 42, 0), row("mixed", 48, 0, language="deu_Latn"), row("mixed", 90, 1)]
    assert means(compare(rows, "none"))[1].change.by_seed == {0: 5}
