"""Removes the constraints whose tables a migration has dropped.

DeleteModel drops the table.  That takes the constraint's triggers away from it, but
leaves the constraint's table in schema booking, and its triggers on the capacity
table.  A later migration could then not use the constraint's name again.

A migration that was faked, or that changed only the state, has left the table: then
the constraint stays.
"""

from __future__ import annotations

from typing import Any, Iterable, Iterator

from django.db import connections
from django.db.migrations import AddConstraint, CreateModel, SeparateDatabaseAndState
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.operations.base import Operation

from .constraints import CapacityConstraint

# (The view has no on_table, too, if the table has been given another owner.)
_WITHOUT_TABLE = """
    SELECT c.constraint_name
    FROM booking.capacity_constraints c
    WHERE c.on_table IS NULL AND c.constraint_name = ANY (%s::name[])
      AND NOT EXISTS (
        SELECT FROM pg_catalog.pg_trigger t
        WHERE t.tgfoid = 'booking.capacity_count'::regproc
          AND (booking.trigger_words(t.tgargs, t.tgnargs))[1] = c.constraint_name)
    ORDER BY c.constraint_name
"""


def drop(using: str, apps: Any = None, **kwargs: Any) -> None:
    """Drop the constraints that migrations have made and whose tables are gone.

    It runs before the migrations, too: the last run may have failed halfway.
    The command flush sends the signal, too, without apps.
    """
    connection = connections[using]
    if apps is None or connection.vendor != "postgresql":
        return
    gone = _migrated_names() - _names(
        constraint
        for model in apps.get_models()
        for constraint in model._meta.constraints
    )
    if not gone:
        return
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT 1 FROM pg_catalog.pg_extension WHERE extname = 'pg_booking'"
        )
        if cursor.fetchone() is None:
            return
        cursor.execute(_WITHOUT_TABLE, [sorted(gone)])
        for row in cursor.fetchall():
            cursor.execute("SELECT booking.drop_capacity_constraint(%s)", row)


def _names(constraints: Iterable[Any]) -> set[str]:
    return {each.name for each in constraints if isinstance(each, CapacityConstraint)}


def _migrated_names() -> set[str]:
    """Return the names of the constraints that migrations add, applied or not."""
    names: set[str] = set()
    for migration in MigrationLoader(None).disk_migrations.values():
        names |= _names(_added(migration.operations))
    return names


def _added(operations: Iterable[Operation]) -> Iterator[Any]:
    for operation in operations:
        if isinstance(operation, AddConstraint):
            yield operation.constraint
        elif isinstance(operation, CreateModel):
            yield from operation.options.get("constraints", ())
        elif isinstance(operation, SeparateDatabaseAndState):
            yield from _added(operation.database_operations)
