"""System checks of the database."""

from __future__ import annotations

from typing import Any, Sequence

from django.core import checks
from django.db import connections, router


def check_search_path(
    databases: Sequence[str] | None = None, **kwargs: Any
) -> list[checks.CheckMessage]:
    """Check that the tables are found by their plain names."""
    problems: list[checks.CheckMessage] = []
    for alias in databases or ():
        connection = connections[alias]
        here = router.allow_migrate(alias, "pg_booking_tickets")
        if connection.vendor != "postgresql" or not here:
            continue
        with connection.cursor() as cursor:
            cursor.execute(
                r"SELECT current_setting('search_path') ~ '(^|[ ,\"])booking($|[ ,\"])',"
                " to_regclass('event') = to_regclass('booking.event')"
            )
            named, same = cursor.fetchone()
        if not named:
            problems.append(
                checks.Error(
                    "Schema booking is not in the search_path of database %r." % alias,
                    hint='"OPTIONS": {"options": "-c search_path=public,booking"}',
                    id="pg_booking.E002",
                )
            )
        elif same is False:
            problems.append(
                checks.Error(
                    "In database %r, another table called event comes before "
                    "booking.event in the search_path." % alias,
                    id="pg_booking.E003",
                )
            )
    return problems
