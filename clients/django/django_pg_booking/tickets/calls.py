"""Calls of pg_booking's functions."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

from django.db import DatabaseError, connections, transaction
from django.db.models import Model

from ..errors import booking_errors, sqlstate

NO_DATA_FOUND = "P0002"


def key_of(value: Any) -> Any:
    """Return the primary key of a model's instance, or the value itself."""
    return value.pk if isinstance(value, Model) else value


def call(
    using: str,
    function: str,
    *args: Any,
    missing: type[Exception] | None = None,
    savepoint: bool = True,
    **named: Any,
) -> tuple[Any, ...]:
    """Call a function and return its row.

    Inside a transaction, a savepoint is set: after a refusal the transaction can go on.
    Raises a BookingError if the call is refused, and missing if there is no such row.
    """
    named = {name: value for name, value in named.items() if value is not None}
    places = ["%s"] * len(args) + ["%s => %%s" % name for name in named]
    sql = "SELECT * FROM booking.%s(%s)" % (function, ", ".join(places))
    connection = connections[using]
    savepoint = savepoint and connection.in_atomic_block
    try:
        with booking_errors():
            with transaction.atomic(using=using) if savepoint else nullcontext():
                with connection.cursor() as cursor:
                    cursor.execute(sql, [*args, *named.values()])
                    return cursor.fetchone()
    except DatabaseError as error:
        if missing is not None and sqlstate(error) == NO_DATA_FOUND:
            raise missing(str(error)) from error
        raise
