"""Managers of the models."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any, Iterable, NamedTuple

from django.db import models, router
from django.db.models.functions import Now

from ..errors import booking_errors
from .calls import call, key_of

if TYPE_CHECKING:
    from .models import Hold, Lock, Ticket


class BookingQuerySet(models.QuerySet):
    """A QuerySet that raises pg_booking's refusals as BookingErrors."""

    def update(self, **kwargs: Any) -> int:
        with booking_errors():
            return super().update(**kwargs)

    update.alters_data = True  # type: ignore[attr-defined]

    def bulk_create(self, objs: Iterable[Any], *args: Any, **kwargs: Any) -> list[Any]:
        with booking_errors():
            return super().bulk_create(objs, *args, **kwargs)

    bulk_create.alters_data = True  # type: ignore[attr-defined]

    def loaded(self, **values: Any) -> Any:
        """Return an instance with these values; it loads others when they are read.

        The values must be in the order of the model's fields.
        """
        return self.model.from_db(self.db, list(values), list(values.values()))


class Booking(NamedTuple):
    """What try_book() returns."""

    status: str
    ticket: Ticket | None


class TicketQuerySet(BookingQuerySet):
    def live(self) -> TicketQuerySet:
        """Tickets that have a place."""
        return self.filter(cancelled_at__isnull=True)


class TicketManager(models.Manager.from_queryset(TicketQuerySet)):  # type: ignore[misc]
    """Books tickets.  Users and events may be instances or primary keys."""

    def book(self, event: Any, user: Any, *, idempotency_key: Any = None) -> Ticket:
        """Book one place.  Raises SoldOut, UserLimit, NotOnSale, NoEvent, KeyMismatch."""
        (ticket_id,) = call(
            write_db(self),
            "book_ticket",
            key_of(event),
            key_of(user),
            idempotency_key=text_or_none(idempotency_key),
        )
        return self._ticket(ticket_id, event, user)

    def try_book(
        self, event: Any, user: Any, *, idempotency_key: Any = None
    ) -> Booking:
        """Book one place.  A refusal is a status: sold_out, user_limit and so on."""
        status, ticket_id = call(
            write_db(self),
            "try_book_ticket",
            key_of(event),
            key_of(user),
            idempotency_key=text_or_none(idempotency_key),
        )
        return Booking(status, ticket_id and self._ticket(ticket_id, event, user))

    def book_many(
        self, event: Any, user: Any, quantity: int, *, idempotency_key: Any = None
    ) -> list[Ticket]:
        """Book several places, all of them or none.  Raises what book() raises."""
        (ids,) = call(
            write_db(self),
            "book_tickets",
            key_of(event),
            key_of(user),
            quantity,
            idempotency_key=text_or_none(idempotency_key),
        )
        return [self._ticket(ticket_id, event, user) for ticket_id in ids]

    def _ticket(self, ticket_id: int, event: Any, user: Any) -> Ticket:
        return self.using(write_db(self)).loaded(
            ticket_id=ticket_id, event_id=key_of(event), user_id=key_of(user)
        )


class HoldQuerySet(BookingQuerySet):
    def live(self) -> HoldQuerySet:
        """Holds that are neither confirmed nor released and have not expired."""
        return self.filter(ended_at__isnull=True, expires_at__gt=Now())


class HoldManager(models.Manager.from_queryset(HoldQuerySet)):  # type: ignore[misc]
    def hold(
        self,
        event: Any,
        user: Any,
        quantity: int = 1,
        *,
        ttl: timedelta | None = None,
        idempotency_key: Any = None,
    ) -> Hold:
        """Keep places for a while.  Raises what book() raises."""
        hold_id, expires_at = call(
            write_db(self),
            "hold_tickets",
            key_of(event),
            key_of(user),
            quantity,
            ttl=ttl,
            idempotency_key=text_or_none(idempotency_key),
        )
        return self.using(write_db(self)).loaded(
            hold_id=hold_id,
            event_id=key_of(event),
            user_id=key_of(user),
            quantity=quantity,
            expires_at=expires_at,
        )


class LockQuerySet(models.QuerySet):
    def held(self) -> LockQuerySet:
        """Locks that have not expired."""
        return self.filter(expires_at__gt=Now())


class LockManager(models.Manager.from_queryset(LockQuerySet)):  # type: ignore[misc]
    """Named locks.

    A resource is a text or a model's instance.  An owner is a text or an instance,
    whose primary key is then the owner's name.
    """

    def lock(
        self,
        user: Any,
        resource: Any,
        *,
        ttl: timedelta = timedelta(minutes=1),
        note: str | None = None,
    ) -> Lock:
        """Acquire a lock.  Raises Locked if another owner has it."""
        token, expires_at = call(
            write_db(self),
            "acquire_lock",
            resource_name(resource),
            owner_name(user),
            ttl=ttl,
            note=note,
        )
        return self._lock(resource, user, token, expires_at)

    def try_lock(
        self,
        user: Any,
        resource: Any,
        *,
        ttl: timedelta = timedelta(minutes=1),
        note: str | None = None,
    ) -> Lock | None:
        """Acquire a lock, or return None if another owner has it."""
        status, token, _, expires_at = call(
            write_db(self),
            "try_acquire_lock",
            resource_name(resource),
            owner_name(user),
            ttl=ttl,
            note=note,
        )
        if status != "acquired":
            return None
        return self._lock(resource, user, token, expires_at)

    def assert_held(self, resource: Any, token: int, *, at: str = "now") -> None:
        """Let this transaction commit only if the token is the lock's.

        Raises LockLost at once.  With ``at="commit"`` the commit raises an
        IntegrityError: put booking_errors() around the transaction to get LockLost.
        No savepoint is set: don't go on in a transaction that has lost its lock.
        """
        name = resource_name(resource)
        call(write_db(self), "assert_lock", name, token, at, savepoint=False)

    def renew(self, resource: Any, token: int, ttl: timedelta) -> Any:
        """Let the lock expire in ttl from now; return when.  Raises LockLost."""
        return call(write_db(self), "renew_lock", resource_name(resource), token, ttl)[
            0
        ]

    def release(self, resource: Any, token: int) -> bool:
        """Give the lock back.  Returns False if the token is not the lock's."""
        return call(write_db(self), "release_lock", resource_name(resource), token)[0]

    def _lock(self, resource: Any, user: Any, token: int, expires_at: Any) -> Lock:
        names = ["resource", "owner", "token", "expires_at"]
        values = [resource_name(resource), owner_name(user), token, expires_at]
        return self.model.from_db(write_db(self), names, values)


def write_db(manager: models.Manager) -> str:
    """Return the database in which a manager's calls write."""
    return manager._db or router.db_for_write(manager.model, **manager._hints)


def text_or_none(value: Any) -> str | None:
    """Return an idempotency key as the text that the functions want."""
    return None if value is None else str(value)


def resource_name(resource: Any) -> str:
    """Return the name of a resource: of a model's instance "shop.article:7"."""
    if isinstance(resource, models.Model):
        if resource.pk is None:
            raise ValueError("The resource has no primary key yet: save it first.")
        # (A row is the same resource through a proxy model.)
        model = resource._meta.concrete_model
        return "%s:%s" % (model._meta.label_lower, resource.pk)
    return str(resource)


def owner_name(user: Any) -> str:
    """Return the name of an owner."""
    return str(key_of(user))
