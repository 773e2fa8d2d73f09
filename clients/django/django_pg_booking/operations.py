"""Operations for migrations."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.contrib.postgres.operations import CreateExtension
from django.db import models, router
from django.db.migrations.operations.base import Operation

# Triggers whose functions belong to the extension.
_IN_USE = """
    SELECT 1
    FROM pg_catalog.pg_trigger t
    JOIN pg_catalog.pg_depend d ON d.classid = 'pg_catalog.pg_proc'::regclass
        AND d.objid = t.tgfoid AND d.deptype = 'e'
    JOIN pg_catalog.pg_extension e ON d.refclassid = 'pg_catalog.pg_extension'::regclass
        AND d.refobjid = e.oid
    WHERE e.extname = 'pg_booking'
    LIMIT 1
"""


class BookingExtension(CreateExtension):
    """Create the extension pg_booking; its functions are in schema booking.

    The reverse drops it, unless a constraint or the tables of pg_booking still use it.
    """

    def __init__(self) -> None:
        self.name = "pg_booking"

    def database_backwards(
        self, app_label: str, schema_editor: Any, from_state: Any, to_state: Any
    ) -> None:
        if schema_editor.connection.vendor == "postgresql":
            with schema_editor.connection.cursor() as cursor:
                cursor.execute(_IN_USE)
                if cursor.fetchone():
                    return
        super().database_backwards(app_label, schema_editor, from_state, to_state)


class CreateTables(Operation):
    """Create the tables of pg_booking for events, tickets, holds and locks.

    user_id_type is ``"bigint"``, ``"uuid"`` or ``"text"``.  By default it is that of
    the primary key of ``AUTH_USER_MODEL``.
    The reverse drops the tables with all that is in them.
    """

    reversible = True

    def __init__(self, user_id_type: str | None = None) -> None:
        self.user_id_type = user_id_type

    def deconstruct(self) -> tuple[str, list[Any], dict[str, Any]]:
        kwargs = {"user_id_type": self.user_id_type} if self.user_id_type else {}
        return self.__class__.__qualname__, [], kwargs

    def state_forwards(self, app_label: str, state: Any) -> None:
        pass

    def database_forwards(
        self, app_label: str, schema_editor: Any, from_state: Any, to_state: Any
    ) -> None:
        if not self._allowed(app_label, schema_editor):
            return
        user_id_type = self.user_id_type or self._type_of_users(to_state)
        schema_editor.execute("SELECT booking.create_tables('%s')" % user_id_type)

    def database_backwards(
        self, app_label: str, schema_editor: Any, from_state: Any, to_state: Any
    ) -> None:
        if not self._allowed(app_label, schema_editor):
            return
        schema_editor.execute("DROP VIEW IF EXISTS booking.sales")
        schema_editor.execute(
            "DROP TABLE IF EXISTS booking.ticket, booking.hold, booking.event, "
            "booking.inventory, booking.request, booking.user_limit, "
            "booking.resource_lock, booking.history CASCADE"
        )

    def describe(self) -> str:
        return "Creates the tables of pg_booking"

    @property
    def migration_name_fragment(self) -> str:
        return "create_booking_tables"

    def _allowed(self, app_label: str, schema_editor: Any) -> bool:
        connection = schema_editor.connection
        return connection.vendor == "postgresql" and router.allow_migrate(
            connection.alias, app_label
        )

    def _type_of_users(self, state: Any) -> str:
        key = state.apps.get_model(settings.AUTH_USER_MODEL)._meta.pk
        while key.remote_field:
            key = key.target_field
        if isinstance(key, models.IntegerField):
            return "bigint"
        return "uuid" if isinstance(key, models.UUIDField) else "text"
