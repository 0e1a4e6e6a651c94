"""How large the models of a study are, by arithmetic."""

from __future__ import annotations

from collections.abc import Iterable

from xstilts.data.catalogue import Catalogue
from xstilts.model.shape import Shape
from xstilts.study.provenance import Parameters
from xstilts.tasks import find_task


def planned_size(shape: Shape, catalogue: Catalogue, tasks: Iterable[str]) -> Parameters:
    """Numbers of values of the recipe's encoder and of heads of these tasks; a matrix that a head shares with the
    embeddings counts as theirs."""
    heads = {
        task.name: task.kind.num_parameters(shape, len(catalogue.labels(task) or ())) for task in map(find_task, tasks)
    }
    return Parameters(encoder=shape.num_in_layers, embeddings=shape.num_in_embeddings, heads=heads)
