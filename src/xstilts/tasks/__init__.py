"""The registry of tasks: importing this package registers every dataset family."""

import importlib
import pkgutil

from xstilts.kinds.example import (
    Answer,
    ChoiceExample,
    Example,
    Kind,
    PairExample,
    RetrievalExample,
    SpanExample,
    TaggingExample,
    TextExample,
)
from xstilts.tasks import datasets
from xstilts.tasks.registry import Hub, Layout, Source, Task, all_tasks, find_task, register

for _module in pkgutil.iter_modules(datasets.__path__, datasets.__name__ + "."):
    importlib.import_module(_module.name)

__all__ = [
    "Answer",
    "ChoiceExample",
    "Example",
    "Hub",
    "Kind",
    "Layout",
    "PairExample",
    "RetrievalExample",
    "Source",
    "SpanExample",
    "TaggingExample",
    "Task",
    "TextExample",
    "all_tasks",
    "find_task",
    "register",
]
