"""The registry of tasks: importing this package registers every dataset family, and the tasks of plug-ins."""

import importlib
import pkgutil

from xstilts.tasks import datasets
from xstilts.tasks.plugins import load_plugins
from xstilts.tasks.registry import Hub, Layout, Source, Task, all_tasks, find_task, register

for _module in pkgutil.iter_modules(datasets.__path__, datasets.__name__ + "."):
    importlib.import_module(_module.name)

load_plugins()

__all__ = ["Hub", "Layout", "Source", "Task", "all_tasks", "find_task", "register"]
