"""Removes the constraints of models that a migration has deleted.

DeleteModel drops the table.  That takes the constraint's triggers away from it, but
leaves the constraint's table in schema booking, and its triggers on the capacity
table.  A later migration could then not use the constraint's name again.
"""

from __future__ import annotations

from typing import Any

from django.db import connections

from .constraints import CapacityConstraint

_before: dict[str, set[str]] = {}


def _names(apps: Any) -> set[str]:
    return {
        constraint.name
        for model in apps.get_models()
        for constraint in model._meta.constraints
        if isinstance(constraint, CapacityConstraint)
    }


def remember(using: str, apps: Any = None, **kwargs: Any) -> None:
    """Before the migrations: remember which constraints there are."""
    if apps is not None:
        _before[using] = _names(apps)


def drop(using: str, apps: Any = None, **kwargs: Any) -> None:
    """After the migrations: drop the constraints whose models are gone.

    The command flush sends the signal, too, without apps.
    """
    if apps is None:
        return
    gone = _before.pop(using, set()) - _names(apps)
    connection = connections[using]
    if not gone or connection.vendor != "postgresql":
        return
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT 1 FROM pg_catalog.pg_extension WHERE extname = 'pg_booking'"
        )
        if cursor.fetchone() is None:
            return
        for name in sorted(gone):
            cursor.execute(
                "SELECT booking.drop_capacity_constraint(%s, if_exists => true)", [name]
            )
