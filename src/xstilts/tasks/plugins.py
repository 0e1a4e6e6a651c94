"""Tasks of other distributions: modules that they name under the entry point group `xstilts.tasks`."""

from __future__ import annotations

from importlib.metadata import entry_points

from xstilts.core.errors import UserError, reason_of

GROUP = "xstilts.tasks"


def load_plugins() -> None:
    """Imports every module of the group, which registers its tasks.

    Raises:
        UserError: a module cannot be imported, or registers a task whose name is taken; it is named.
    """
    for entry in sorted(entry_points(group=GROUP), key=lambda entry: (entry.name, entry.value)):
        try:
            entry.load()
        except Exception as error:  # whatever the code of others raises
            place = f"plug-in '{entry.name}' of {entry.dist.name if entry.dist else 'an unknown distribution'}"
            problem = f"{place}: cannot import {entry.value} ({type(error).__name__}: {reason_of(error)})"
            raise UserError(f"{problem}; mend or uninstall it") from error
