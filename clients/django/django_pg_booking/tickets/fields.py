"""Fields whose default is the database's."""

from __future__ import annotations

from typing import Any

from django.db import models
from django.db.models.expressions import Expression


class Default(Expression):
    """The keyword DEFAULT."""

    def as_sql(self, compiler: Any, connection: Any) -> tuple[str, list[Any]]:
        return "DEFAULT", []


class ServerDefaultMixin:
    """None is written as DEFAULT, and the value is read back after an INSERT.

    Django would send an explicit null instead, which the column refuses.
    """

    db_returning = True

    def get_db_prep_save(self, value: Any, connection: Any) -> Any:
        if value is None:
            return Default(output_field=self)
        return super().get_db_prep_save(value, connection)  # type: ignore[misc]


class ServerDateTimeField(ServerDefaultMixin, models.DateTimeField):
    """A DateTimeField whose default is the database's clock."""


class ServerDurationField(ServerDefaultMixin, models.DurationField):
    """A DurationField whose default is the database's."""
