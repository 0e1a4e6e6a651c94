"""Metrics, stated as sums over items; importing this package registers them all."""

import importlib
import pkgutil

from xstilts.evaluation.metrics.metric import Metric, find_metric, interval

for _module in pkgutil.iter_modules(__path__, __name__ + "."):
    importlib.import_module(_module.name)

__all__ = ["Metric", "find_metric", "interval"]
