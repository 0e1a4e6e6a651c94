from __future__ import annotations

import pytest

from xstilts.core.errors import UserError
from xstilts.tasks import all_tasks, find_task
from xstilts.tasks.suites import SUITES, find_suite, languages_of, suites_of


@pytest.mark.parametrize(
    ("suite", "counts"),
    [
        # Hu et al. 2020, table 1 (English included where it is scored).
        (
            "xtreme",
            {
                "xnli": 15,
                "pawsx": 7,
                "udpos": 33,
                "panx": 40,
                "xquad": 11,
                "mlqa": 7,
                "tydiqa": 9,
                "bucc2018": 4,
                "tatoeba": 36,
            },
        ),
        # Ruder et al. 2021, table 2.
        (
            "xtreme-r",
            {
                "xnli": 15,
                "xcopa": 11,
                "udpos": 38,
                "panx": 48,
                "xquad": 12,
                "mlqa": 7,
                "tydiqa": 9,
                "lareqa": 11,
                "mewslix": 11,
                "tatoeba": 41,
            },
        ),
    ],
)
def test_number_of_languages(suite: str, counts: dict[str, int]) -> None:
    assert {task: len(languages) for task, languages in find_suite(suite).tasks.items()} == counts


def test_xtreme_r_has_fifty_languages() -> None:
    languages = {key for keys in find_suite("xtreme-r").tasks.values() for key in keys}
    assert len(languages) == 50


def test_suites_agree_with_the_registry() -> None:
    for suite in SUITES.values():
        assert {task.name for task in all_tasks(suite.name)} == set(suite.tasks)
        assert {name for names in suite.groups.values() for name in names} == set(suite.tasks)
        for name, languages in suite.tasks.items():
            task = find_task(name)
            assert set(languages) <= set(task.languages), name
            assert list(task.languages)[: len(languages_of(name))] == list(languages_of(name))
            assert "test" in task.layouts[-1].paths


def test_heads_come_from_tasks_with_english_training_data_and_the_same_labels() -> None:
    for suite in SUITES:
        for task in all_tasks(suite):
            if task.trained_by is None:
                assert not task.kind.trainable
                continue
            source = find_task(task.trained_by)
            assert source.kind is task.kind
            assert source.labels == task.labels
            assert "eng_Latn" in source.languages
            assert any("train" in layout.paths for layout in source.layouts)


def test_order_is_that_of_xtremes_script() -> None:
    assert [find_task("mlqa").languages[key] for key in find_suite("xtreme").tasks["mlqa"]] == [
        *("en", "es", "de", "ar", "hi", "vi", "zh")
    ]
    assert suites_of("xnli") == ("xtreme", "xtreme-r")
    assert suites_of("udpos_words") == ()


def test_unknown_suite() -> None:
    with pytest.raises(UserError, match="did you mean 'xtreme'"):
        find_suite("xtrem")
