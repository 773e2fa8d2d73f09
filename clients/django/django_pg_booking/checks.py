"""System checks."""

from __future__ import annotations

from typing import Any

from django.apps import apps
from django.core import checks

from .constraints import CapacityConstraint


def check_constraints(app_configs: Any = None, **kwargs: Any) -> list[Any]:
    """Check the capacity constraints of all models against their fields."""
    configs = apps.get_app_configs() if app_configs is None else app_configs
    problems: list[checks.CheckMessage] = []
    for config in configs:
        for model in config.get_models():
            for constraint in model._meta.constraints:
                if isinstance(constraint, CapacityConstraint):
                    problems += constraint.check_model(model)
    return problems
