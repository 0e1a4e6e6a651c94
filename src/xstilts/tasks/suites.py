"""XTREME, XTREME-R and the African collection: which tasks each suite has, in which languages, in what order.

One declaration below; tasks take their languages from it and averages run over it. Sources: Hu et al. 2020 (XTREME),
Ruder et al. 2021 (XTREME-R), and the order of languages in XTREME's own evaluation script. Chinese is Simplified.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from xstilts.core.errors import UserError, did_you_mean
from xstilts.tasks.languages import find_language

_XTREME = {
    "pawsx": "de en es fr ja ko zh",
    "xnli": "ar bg de el en es fr hi ru sw th tr ur vi zh",
    "panx": (
        "ar he vi id jv ms tl eu ml ta te af nl en de el bn hi mr ur fa fr it pt es bg ru ja ka ko th sw yo my zh kk "
        "tr et fi hu"
    ),
    "udpos": "af ar bg de el en es et eu fa fi fr he hi hu id it ja kk ko mr nl pt ru ta te th tl tr ur vi yo zh",
    "bucc2018": "de fr ru zh",
    "tatoeba": (
        "ar he vi id jv tl eu ml ta te af nl de el bn hi mr ur fa fr it pt es bg ru ja ka ko th sw zh kk tr et fi hu"
    ),
    "xquad": "en es de el ru tr ar vi th zh hi",
    "mlqa": "en es de ar hi vi zh",
    "tydiqa": "en ar bn fi id ko ru sw te",
}
_XTREME_R_ADDS = {
    "xnli": "",
    "xcopa": "et ht id it qu sw ta th tr vi zh",
    "udpos": "lt pl uk wo ro",
    "panx": "qu pl uk az lt pa gu ro",
    "xquad": "ro",
    "mlqa": "",
    "tydiqa": "",
    "tatoeba": "az lt pl uk ro",
    "lareqa": "ar de el en es hi ru th tr vi zh",
    "mewslix": "ar de en es fa ja pl ro ta tr uk",
}
_AFRICA = {
    "masakhaner1": "amh hau ibo kin lug luo pcm swa wol yor",
    "masakhaner2": "bam bbj ewe fon hau ibo kin lug luo mos nya pcm sna swa tsn twi wol xho yor zul",
    "masakhapos": "bam bbj ewe fon hau ibo kin lug luo mos nya pcm sna swa tsn twi wol xho yor zul",
    "afrixnli": "amh ewe hau ibo kin lin lug orm sna sot swa twi wol xho yor zul",
    "afriqa": "bem fon hau ibo kin swa twi yor zul",
    "belebele": (
        "afr amh ary arz bam fuv gaz hau ibo kea kin lin lug luo nso nya plt sna som sot ssw swh tir tsn tso wol xho "
        "yor zul"
    ),
    "ntrex": "afr amh bem ewe fuc hau ibo kin mlg nde nso nya orm sna som ssw swa tir tsn ven wol xho yor zul",
}


def _keys(words: str) -> tuple[str, ...]:
    return tuple(find_language(word).key for word in words.split())


@dataclass(frozen=True)
class Suite:
    name: str
    """Also the group of its tasks: `xtreme`, `xtreme-r`, `africa`."""
    title: str
    tasks: Mapping[str, tuple[str, ...]]
    """Task -> language keys over which its score is the unweighted mean, English included where scored."""
    groups: Mapping[str, tuple[str, ...]]
    """Group of tasks as the suite's tables print it -> tasks."""


SUITES: Mapping[str, Suite] = {
    suite.name: suite
    for suite in (
        Suite(
            "xtreme",
            "XTREME",
            {task: _keys(words) for task, words in _XTREME.items()},
            {
                "classification": ("pawsx", "xnli"),
                "tagging": ("udpos", "panx"),
                "qa": ("xquad", "mlqa", "tydiqa"),
                "retrieval": ("bucc2018", "tatoeba"),
            },
        ),
        Suite(
            "xtreme-r",
            "XTREME-R",
            {task: _keys(f"{_XTREME.get(task, '')} {added}") for task, added in _XTREME_R_ADDS.items()},
            {
                "classification": ("xnli", "xcopa"),
                "tagging": ("udpos", "panx"),
                "qa": ("xquad", "mlqa", "tydiqa"),
                "retrieval": ("tatoeba", "mewslix", "lareqa"),
            },
        ),
        Suite(
            "africa",
            "African languages",
            {task: _keys(words) for task, words in _AFRICA.items()},
            {
                "classification": ("afrixnli", "belebele"),
                "tagging": ("masakhaner1", "masakhaner2", "masakhapos"),
                "qa": ("afriqa",),
                "retrieval": ("ntrex",),
            },
        ),
    )
}


def find_suite(name: str) -> Suite:
    """The suite of that name; an error with the nearest known name."""
    if name not in SUITES:
        raise UserError(f"unknown suite '{name}'; {did_you_mean(name, SUITES)}")
    return SUITES[name]


def suites_of(task: str) -> tuple[str, ...]:
    """Names of the suites that have the task: its `groups`."""
    return tuple(name for name, suite in SUITES.items() if task in suite.tasks)


def languages_of(task: str) -> tuple[str, ...]:
    """Every language in which some suite scores the task, in the suites' order."""
    return tuple(dict.fromkeys(key for suite in SUITES.values() for key in suite.tasks.get(task, ())))
