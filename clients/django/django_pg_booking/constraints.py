"""CapacityConstraint: at most N rows with the same key, for Meta.constraints."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Mapping, NamedTuple, Sequence

from django.core import checks, exceptions
from django.core.exceptions import FieldDoesNotExist, FieldError, ValidationError
from django.db import DEFAULT_DB_ALIAS, NotSupportedError, connections
from django.db.backends.ddl_references import Columns, Statement, Table
from django.db.models import F, Q
from django.db.models.constraints import BaseConstraint
from django.db.models.sql import Query

from .errors import diagnostics

if TYPE_CHECKING:
    from django.db.backends.base.schema import BaseDatabaseSchemaEditor
    from django.db.models import Field, Model

__all__ = ["CapacityConstraint"]

DELETE = "DELETE"

# (Django 3.2 compiles a condition that is true for all rows to an empty text.)
_SAME_FOR_ALL = (
    exceptions.EmptyResultSet,
    getattr(exceptions, "FullResultSet", exceptions.EmptyResultSet),
)


def quote_literal(text: str) -> str:
    """Return a text as an SQL literal.

    It has no percent sign, because Django executes some statements with parameters
    and some without.
    """
    quoted = text.replace("'", "''")
    if "\\" in quoted or "%" in quoted:
        return "E'%s'" % quoted.replace("\\", "\\\\").replace("%", "\\045")
    return "'%s'" % quoted


class _TableLiteral(Table):
    """A table's name as a literal of type regclass.

    Like other references it follows a rename of the table by the same migration.
    """

    def __str__(self) -> str:
        return quote_literal(self.quote_name(self.table))


class _ColumnsLiteral(Columns):
    """Names of columns as an array."""

    def __str__(self) -> str:
        return "ARRAY[%s]" % ", ".join(quote_literal(c) for c in self.columns)


class _ColumnLiteral(Columns):
    """The name of one column as a literal."""

    def __str__(self) -> str:
        return quote_literal(self.columns[0])


class _Capacity(NamedTuple):
    """Where the capacity of a key stands."""

    table: str
    column: str
    key_column: str
    key_is_primary: bool


class CapacityConstraint(BaseConstraint):
    """At most as many rows with equal ``fields`` as the capacity says.

    fields: the fields of the key, at most four.
    capacity: an integer, or ``"show__capacity"``: the field ``capacity`` of the model
        to which the foreign key ``show`` points.  Then ``fields`` is ``["show"]``.
    condition: a Q object that says which rows count; by default all.
    quantity: the field that says how many places a row takes; by default one.
    allow_excess: accept keys that are over their capacity, now and later.
    expires_at, on_expiry: a DateTimeField, and how a row is ended after that time:
        ``"DELETE"`` or new values, as ``{"status": "expired"}``.
    """

    default_violation_error_message = "No place is left."
    violation_error_code = "capacity"

    def __init__(
        self,
        *,
        fields: Sequence[str],
        capacity: int | str,
        name: str,
        condition: Q | None = None,
        quantity: str | None = None,
        allow_excess: bool = False,
        expires_at: str | None = None,
        on_expiry: str | Mapping[str, Any] | None = None,
        violation_error_message: str | None = None,
    ) -> None:
        if isinstance(fields, str) or not 1 <= len(fields) <= 4:
            raise ValueError(
                "CapacityConstraint.fields must be a list of 1 to 4 fields."
            )
        if isinstance(capacity, str):
            if capacity.count("__") != 1:
                raise ValueError(
                    "CapacityConstraint.capacity must be an integer or "
                    '"foreignkey__field".'
                )
            if list(fields) != [capacity.split("__")[0]]:
                raise ValueError(
                    "CapacityConstraint.fields must be the foreign key in capacity, "
                    "and nothing else."
                )
        elif isinstance(capacity, bool) or not isinstance(capacity, int):
            raise ValueError(
                "CapacityConstraint.capacity must be an integer or a string."
            )
        elif capacity < 0:
            raise ValueError("CapacityConstraint.capacity must not be negative.")
        if not isinstance(condition, (type(None), Q)):
            raise ValueError("CapacityConstraint.condition must be a Q instance.")
        if (expires_at is None) != (on_expiry is None):
            raise ValueError("CapacityConstraint needs both expires_at and on_expiry.")
        if isinstance(on_expiry, str) and on_expiry != DELETE:
            raise ValueError('CapacityConstraint.on_expiry must be "DELETE" or a dict.')
        if on_expiry is not None and not on_expiry:
            raise ValueError("CapacityConstraint.on_expiry must not be empty.")
        self.fields = tuple(fields)
        self.capacity = capacity
        self.condition = condition
        self.quantity = quantity
        self.allow_excess = allow_excess
        self.expires_at = expires_at
        self.on_expiry = on_expiry if isinstance(on_expiry, str) else _dict(on_expiry)

        super().__init__(name=name)
        self.violation_error_message = (
            violation_error_message or self.default_violation_error_message
        )

    # ---- telling a refusal ----------------------------------------------------

    def violated_by(self, error: BaseException) -> bool:
        """Return whether this constraint refused the statement that raised error."""
        diag = diagnostics(error)
        return (
            diag is not None
            and diag.sqlstate == "23514"
            and diag.constraint_name == self.name
        )

    # ---- what the schema editor calls -----------------------------------------

    def constraint_sql(
        self, model: type[Model], schema_editor: BaseDatabaseSchemaEditor
    ) -> None:
        """Add the constraint when the tables of the migration have been made."""
        schema_editor.deferred_sql.append(self.create_sql(model, schema_editor))

    def create_sql(
        self, model: type[Model], schema_editor: BaseDatabaseSchemaEditor
    ) -> Statement:
        """Return the statement that adds the constraint."""
        self._check_supported(schema_editor)
        quote = schema_editor.quote_name
        table = model._meta.db_table
        parts: dict[str, Any] = {}

        def column(field: str) -> _ColumnLiteral:
            return _ColumnLiteral(table, [_local(model, field).column], quote)

        if isinstance(self.capacity, str):
            place = self._capacity_place(model)
            parts["capacity_table"] = _TableLiteral(place.table, quote)
            parts["capacity_column"] = _ColumnLiteral(
                place.table, [place.column], quote
            )
            if not place.key_is_primary:
                parts["capacity_key"] = _ColumnsLiteral(
                    place.table, [place.key_column], quote
                )
        else:
            parts["capacity"] = self.capacity
        if self.quantity is not None:
            parts["quantity_column"] = column(self.quantity)
        if self.condition is not None:
            parts["condition"] = quote_literal(
                self._condition_sql(model, schema_editor)
            )
        if self.allow_excess:
            parts["allow_excess"] = "true"
        if self.expires_at is not None:
            parts["expires_at"] = column(self.expires_at)
            parts["on_expiry"] = quote_literal(self._expiry_sql(model, schema_editor))
        parts["constraint_name"] = quote_literal(self.name)
        named = ", ".join("{0} => %({0})s".format(part) for part in parts)
        return Statement(
            "SELECT booking.add_capacity_constraint("
            "%(on_table)s, %(key_columns)s, " + named + ")",
            on_table=_TableLiteral(table, quote),
            key_columns=_ColumnsLiteral(
                table, [_local(model, field).column for field in self.fields], quote
            ),
            **parts,
        )

    def remove_sql(
        self, model: type[Model], schema_editor: BaseDatabaseSchemaEditor
    ) -> Statement | None:
        """Return the statement that removes the constraint.

        If the same migration would add it later, it is not added: None is returned.
        """
        self._check_supported(schema_editor)
        name = quote_literal(self.name)
        deferred = schema_editor.deferred_sql
        for statement in deferred:
            parts = getattr(statement, "parts", {})
            if parts.get("constraint_name") == name:
                deferred.remove(statement)
                return None
        return Statement("SELECT booking.drop_capacity_constraint(%(name)s)", name=name)

    def _check_supported(self, schema_editor: BaseDatabaseSchemaEditor) -> None:
        if schema_editor.connection.vendor != "postgresql":
            raise NotSupportedError("Capacity constraints need PostgreSQL.")

    def _capacity_place(self, model: type[Model]) -> _Capacity:
        """Return where the capacity of a key stands."""
        assert isinstance(self.capacity, str)
        name, capacity_name = self.capacity.split("__")
        key = _local(model, name)
        if not (key.many_to_one or key.one_to_one):
            raise FieldError("%s is not a foreign key." % name)
        related = key.remote_field.model
        capacity = related._meta.get_field(capacity_name)
        if not getattr(capacity, "column", None):
            raise FieldError("%s has no column." % capacity_name)
        owner = capacity.model._meta
        target = key.target_field
        # With multi-table inheritance, the capacity may stand in a parent's table.
        while target.model._meta.db_table != owner.db_table and target.is_relation:
            target = target.target_field
        if target.model._meta.db_table != owner.db_table:
            raise FieldError(
                "%s is not in the table that %s refers to." % (capacity, name)
            )
        return _Capacity(
            owner.db_table, capacity.column, target.column, target.primary_key
        )

    def _condition_sql(
        self, model: type[Model], schema_editor: BaseDatabaseSchemaEditor
    ) -> str:
        """Return the condition as an SQL expression over unqualified columns."""
        sql, params = self._where(model, schema_editor.connection)
        return sql % tuple(_quote_value(p, schema_editor) for p in params)

    def _where(self, model: type[Model], connection: Any) -> tuple[str, Sequence[Any]]:
        """Return the condition as Django compiles it."""
        query = Query(model, alias_cols=False)
        where = query.build_where(self.condition)
        try:
            sql, params = where.as_sql(
                query.get_compiler(connection=connection), connection
            )
        except _SAME_FOR_ALL:
            sql = ""
        if not sql:
            raise FieldError("The condition is the same for all rows.")
        return sql, params

    def _expiry_sql(
        self, model: type[Model], schema_editor: BaseDatabaseSchemaEditor
    ) -> str:
        """Return how a row is ended: DELETE, or the SET list of an UPDATE."""
        if isinstance(self.on_expiry, str):
            return self.on_expiry
        assert self.on_expiry is not None
        assignments = []
        for name, value in self.on_expiry.items():
            field = _local(model, name)
            prepared = field.get_db_prep_save(value, schema_editor.connection)
            assignments.append(
                "%s = %s"
                % (
                    schema_editor.quote_name(field.column),
                    _quote_value(prepared, schema_editor),
                )
            )
        return ", ".join(assignments)

    # ---- what migrations compare and write ------------------------------------

    def deconstruct(self) -> tuple[str, tuple[Any, ...], dict[str, Any]]:
        """Return what is needed to write the constraint in a migration."""
        path = "%s.%s" % (self.__class__.__module__, self.__class__.__qualname__)
        path = path.replace("django_pg_booking.constraints", "django_pg_booking")
        kwargs: dict[str, Any] = {
            "fields": self.fields,
            "capacity": self.capacity,
            "name": self.name,
        }
        if self.condition is not None:
            kwargs["condition"] = self.condition
        if self.quantity is not None:
            kwargs["quantity"] = self.quantity
        if self.allow_excess:
            kwargs["allow_excess"] = True
        if self.expires_at is not None:
            kwargs["expires_at"] = self.expires_at
            kwargs["on_expiry"] = self.on_expiry
        if self.violation_error_message != self.default_violation_error_message:
            kwargs["violation_error_message"] = self.violation_error_message
        return path, (), kwargs

    def __eq__(self, other: object) -> bool:
        if isinstance(other, CapacityConstraint):
            return self.deconstruct() == other.deconstruct()
        return NotImplemented

    def __hash__(self) -> int:
        return hash((self.__class__, self.name))

    def __repr__(self) -> str:
        arguments = ", ".join("%s=%r" % item for item in self.deconstruct()[2].items())
        return "<%s: %s>" % (self.__class__.__qualname__, arguments)

    # ---- validation (Django 4.1 and later call it) ----------------------------

    def get_violation_error_message(self) -> str:
        """Return the message of a ValidationError."""
        return str(self.violation_error_message) % {"name": self.name}

    def validate(
        self,
        model: type[Model],
        instance: Model,
        exclude: Any = None,
        using: str = DEFAULT_DB_ALIAS,
    ) -> None:
        """Raise a ValidationError if no place is left for the instance.

        It is a courtesy to the user of a form.  Another session can take the place
        before the instance is saved: then the database refuses it.
        """
        exclude = set(exclude or ())
        if self._fields_used(model) & exclude:
            return
        if not self._counts(model, instance, exclude, using):
            return
        key = [_local(model, field) for field in self.fields]
        values = [getattr(instance, field.attname) for field in key]
        if None in values:
            return
        wanted = self._places(model, instance)
        if not instance._state.adding:
            wanted -= self._places_taken(model, instance, values, using)
        if wanted <= 0:
            return
        left = self._places_left(key, values, using)
        if left is not None and left < wanted:
            raise ValidationError(
                self.get_violation_error_message(), code=self.violation_error_code
            )

    def _fields_used(self, model: type[Model]) -> set[str]:
        """Return the names of the fields in the key, the quantity and the condition."""
        names: set[str] = set()
        todo: list[Any] = [F(name) for name in self.fields]
        todo += [self.quantity and F(self.quantity), self.condition]
        while todo:
            part = todo.pop()
            if isinstance(part, Q):
                todo += part.children
            elif isinstance(part, tuple):
                lookup, value = part
                todo.append(F(lookup))
                todo += value if isinstance(value, (list, tuple)) else [value]
            elif isinstance(part, F):
                name = part.name.split("__")[0]
                pk = model._meta.pk if name == "pk" else None
                names.add((pk or model._meta.get_field(name)).name)
            elif hasattr(part, "get_source_expressions"):
                todo += part.get_source_expressions()
        return names

    def _counts(
        self, model: type[Model], instance: Model, exclude: set[str], using: str
    ) -> bool:
        """Return whether the row of the instance would take places."""
        if self.condition is None:
            return True
        # (Django 5.0 has renamed it.)
        get_map = getattr(instance, "_get_field_expression_map", None)
        get_map = get_map or instance._get_field_value_map
        values = get_map(meta=model._meta, exclude=exclude)
        for field in model._meta.concrete_fields:
            if field.name in values:
                values[field.attname] = values[field.name]
                if field.primary_key:
                    values["pk"] = values[field.name]
        try:
            return bool(self.condition.check(values, using=using))
        except FieldError:
            # As in CheckConstraint: what only the database can tell is left to it.
            return False

    def _places(self, model: type[Model], instance: Model) -> int:
        if self.quantity is None:
            return 1
        return getattr(instance, _local(model, self.quantity).attname) or 0

    def _places_taken(
        self, model: type[Model], instance: Model, values: list[Any], using: str
    ) -> int:
        """Return the places that the row has now under the same key."""
        rows = model._base_manager.using(using).filter(pk=instance.pk)
        if self.condition is not None:
            rows = rows.filter(self.condition)
        names = [_local(model, field).attname for field in self.fields]
        old = rows.filter(**dict(zip(names, values))).first()
        return self._places(model, old) if old is not None else 0

    def _places_left(
        self, key: list[Field], values: list[Any], using: str
    ) -> int | None:
        connection = connections[using]
        casts = ", ".join("%%s::%s" % field.db_type(connection) for field in key)
        params = [
            field.get_db_prep_value(value, connection)
            for field, value in zip(key, values)
        ]
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT booking.places_left(%s, " + casts + ")", [self.name, *params]
            )
            return cursor.fetchone()[0]

    # ---- system checks --------------------------------------------------------

    def check_model(self, model: type[Model]) -> list[checks.CheckMessage]:
        """Return what is wrong with the constraint on this model."""
        problems = []
        if len(self.name.encode()) > 63:
            problems.append("its name is longer than 63 bytes")
        try:
            names = [*sorted(self._fields_used(model)), self.expires_at]
            if isinstance(self.on_expiry, dict):
                names.extend(self.on_expiry)
            for name in filter(None, names):
                _local(model, name)
            if isinstance(self.capacity, str):
                self._capacity_place(model)
            if self.condition is not None:
                Query(model, alias_cols=False).build_where(self.condition)
                if connections[DEFAULT_DB_ALIAS].vendor == "postgresql":
                    self._where(model, connections[DEFAULT_DB_ALIAS])
        except (FieldDoesNotExist, FieldError) as error:
            problems.append(str(error))
        return [
            checks.Error(
                "Capacity constraint %r: %s" % (self.name, problem),
                obj=model,
                id="pg_booking.E001",
            )
            for problem in problems
        ]


def _dict(values: Mapping[str, Any] | None) -> dict[str, Any] | None:
    return None if values is None else dict(values)


def _local(model: type[Model], name: str) -> Field:
    """Return a field that has a column in the model's own table."""
    field = model._meta.get_field(name)
    if isinstance(getattr(field.remote_field, "model", None), str):
        raise FieldError("%s refers to a model that does not exist." % name)
    if field not in model._meta.local_concrete_fields:
        raise FieldError(
            "%s.%s has no column in %s." % (model.__name__, name, model._meta.db_table)
        )
    return field


def _quote_value(value: Any, schema_editor: BaseDatabaseSchemaEditor) -> str:
    """Return a value as an SQL literal."""
    if value is None:
        return "NULL"
    if isinstance(value, str):
        # (quote_value() doubles percent signs.  str.__str__: the value of an enum.)
        return "'%s'" % str.__str__(value).replace("'", "''")
    return str(schema_editor.quote_value(value))
