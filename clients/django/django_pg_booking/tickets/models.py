"""The tables that booking.create_tables() makes.

They are managed, so Django's test cases empty them.  The migrations create them by
pg_booking's own function.
"""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any, Collection, Iterable, NamedTuple

from django.conf import settings
from django.db import DatabaseError, models, transaction

from ..errors import booking_errors
from .calls import call, key_of
from .fields import ServerDateTimeField, ServerDurationField
from .managers import BookingQuerySet, HoldManager, LockManager, TicketManager


class Availability(NamedTuple):
    """How many places of an event there are, and of which kind.

    status: "on_sale", or why it is not: "not_started", "ended" or "sold_out".
    """

    capacity: int | None
    available: int | None
    held: int
    booked: int
    status: str


class BookingModel(models.Model):
    """A model whose save() writes only what was changed since it was loaded.

    Otherwise the save() of an object loaded a while ago would undo what happened since:
    a cancellation, a transfer, a higher capacity.
    """

    # The values that the database is known to have.  (It is replaced, not changed,
    # because copies of an object share it.)
    _stored: dict[str, Any] = {}

    class Meta:
        abstract = True

    @classmethod
    def from_db(cls, db: Any, field_names: Any, values: Any) -> Any:
        instance = super().from_db(db, field_names, values)
        instance._remember(instance._values())
        return instance

    def save(
        self,
        force_insert: bool = False,
        force_update: bool = False,
        using: str | None = None,
        update_fields: Iterable[str] | None = None,
    ) -> None:
        if update_fields is None and not force_insert and self._in_db(using):
            update_fields = self._changed()
        with booking_errors():
            super().save(force_insert, force_update, using, update_fields)
        self._saved(update_fields)

    def delete(self, *args: Any, **kwargs: Any) -> Any:
        with booking_errors():
            return super().delete(*args, **kwargs)

    def refresh_from_db(self, using: Any = None, fields: Any = None, **kw: Any) -> None:
        super().refresh_from_db(using=using, fields=fields, **kw)
        self._remember(self._values(fields))

    def _in_db(self, using: str | None) -> bool:
        """Return whether the row is known to be there, with the values of _stored."""
        stored_pk = self._stored.get(self._meta.pk.attname)
        same = stored_pk is not None and stored_pk == self.pk
        return same and not self._state.adding and using in (None, self._state.db)

    def _changed(self) -> list[str]:
        stored = self._stored
        return [
            field.name
            for field in self._meta.concrete_fields
            if field.attname in self.__dict__
            and not field.primary_key
            and (
                field.attname not in stored
                or stored[field.attname] != self.__dict__[field.attname]
            )
        ]

    def _values(self, names: Iterable[str] | None = None) -> dict[str, Any]:
        """Return the values of these fields, or of all, that are loaded."""
        wanted = None if names is None else set(names)
        return {
            field.attname: self.__dict__[field.attname]
            for field in self._meta.concrete_fields
            if field.attname in self.__dict__
            and (wanted is None or wanted & {field.name, field.attname})
        }

    def _remember(self, values: dict[str, Any]) -> None:
        """Remember that the database has these values."""
        self._stored = {**self._stored, **values}

    def _unknown(self, attnames: Collection[str]) -> None:
        """No longer know which values the database has for these fields."""
        stored = self._stored.items()
        self._stored = {name: value for name, value in stored if name not in attnames}

    def _saved(self, names: Iterable[str] | None) -> None:
        """Remember the values that were written when they are committed.

        Until then, and after a rollback, save() writes these fields in any case.
        """
        values = self._values(names)
        self._unknown(values)
        # (With autocommit off, Django can't tell when they are committed.)
        with suppress(transaction.TransactionManagementError):
            transaction.on_commit(lambda: self._remember(values), self._state.db)

    def _forget(self, *names: str) -> None:
        """Let these fields be read again when they are next used."""
        for name in names:
            self.__dict__.pop(name, None)
        self._unknown(names)

    def _call(self, function: str, *args: Any, **named: Any) -> tuple[Any, ...]:
        using = self._state.db or "default"
        return call(
            using, function, self.pk, *args, missing=type(self).DoesNotExist, **named
        )


class Event(BookingModel):
    """Whatever has a capacity; None: unlimited."""

    event_id = models.BigAutoField(primary_key=True)
    name = models.TextField(null=True, blank=True)
    capacity = models.IntegerField(null=True, blank=True)
    max_per_user = models.IntegerField(null=True, blank=True)
    min_per_order = models.IntegerField(null=True, blank=True)
    max_per_order = models.IntegerField(null=True, blank=True)
    sales_start = models.DateTimeField(null=True, blank=True)
    sales_end = models.DateTimeField(null=True, blank=True)
    hold_ttl = ServerDurationField(blank=True)
    max_hold_ttl = ServerDurationField(blank=True)
    created_at = ServerDateTimeField(editable=False, blank=True)

    objects = models.Manager.from_queryset(BookingQuerySet)()

    class Meta:
        db_table = "event"

    def __str__(self) -> str:
        return self.name or "event %s" % self.pk

    def availability(self) -> Availability:
        """Return how many places are available, held and booked, and the status."""
        return Availability(*self._call("availability"))


class Hold(BookingModel):
    """Places that are kept for a while."""

    hold_id = models.BigAutoField(primary_key=True)
    event = models.ForeignKey(Event, models.DO_NOTHING, db_constraint=False)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, db_constraint=False, related_name="+"
    )
    quantity = models.IntegerField()
    expires_at = models.DateTimeField()
    created_at = ServerDateTimeField(editable=False, blank=True)
    ended_at = models.DateTimeField(null=True, blank=True)
    confirmed_at = models.DateTimeField(null=True, blank=True)

    objects = HoldManager()

    class Meta:
        db_table = "hold"

    def __str__(self) -> str:
        return "hold %s" % self.pk

    def confirm(self, *, rebook: bool = False) -> list[Ticket]:
        """Turn the hold into tickets.  A second call returns the same ones.

        Raises HoldExpired, or with rebook what book() raises, if the hold has expired.
        """
        (ids,) = self._call("confirm_hold", "rebook" if rebook else "error")
        self._forget("ended_at", "confirmed_at")
        tickets = Ticket.objects.using(self._state.db)
        return list(tickets.filter(pk__in=ids).order_by("pk"))

    def extend(self, ttl: timedelta) -> datetime:
        """Let the hold expire no sooner than ttl from now.  Return when it expires."""
        (self.expires_at,) = self._call("extend_hold", ttl)
        self._saved(["expires_at"])
        return self.expires_at

    def change(self, quantity: int | None = None, *, user: Any = None) -> bool:
        """Keep more or fewer places, or keep them for another user.

        Returns False if there was nothing to change.
        """
        args = [] if user is None else [key_of(user)]
        (changed,) = self._call("change_hold", quantity, *args)
        if quantity is not None:
            self.quantity = quantity
            self._saved(["quantity"])
        if user is not None:
            self.user_id = key_of(user)
            self._saved(["user"])
        return changed

    def release(self) -> bool:
        """Give the places back.  Returns False if there was nothing to release."""
        (released,) = self._call("release_hold")
        self._forget("ended_at")
        return released


class Ticket(BookingModel):
    """One place of an event."""

    ticket_id = models.BigAutoField(primary_key=True)
    event = models.ForeignKey(Event, models.PROTECT, db_constraint=False)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, models.PROTECT, db_constraint=False, related_name="+"
    )
    seat = models.TextField(null=True, blank=True)
    # No foreign key: booking.purge() deletes ended holds.
    hold_id = models.BigIntegerField(null=True, blank=True, editable=False)
    booked_at = ServerDateTimeField(editable=False, blank=True)
    redeemed_at = models.DateTimeField(null=True, blank=True)
    cancelled_at = models.DateTimeField(null=True, blank=True)

    objects = TicketManager()

    class Meta:
        db_table = "ticket"

    def __str__(self) -> str:
        return "ticket %s" % self.pk

    def cancel(self) -> bool:
        """Give the place back.  Returns False if the ticket was cancelled before."""
        (cancelled,) = self._call("cancel_ticket")
        self._forget("cancelled_at")
        return cancelled

    def transfer(self, user: Any) -> bool:
        """Give the ticket to another user.  Returns False if it is this user's."""
        (transferred,) = self._call("transfer_ticket", key_of(user))
        self.user_id = key_of(user)
        self._saved(["user"])
        return transferred

    def move(self, event: Any) -> bool:
        """Move the ticket to another event.  Returns False if it is there already."""
        (moved,) = self._call("move_ticket", key_of(event))
        self.event_id = key_of(event)
        self._saved(["event"])
        return moved

    def redeem(self, event: Any = None, *, at: datetime | None = None) -> str:
        """Mark the ticket as used, at the gate of an event.

        Returns "redeemed", "already_redeemed", "cancelled" or "wrong_event".
        """
        event_id = None if event is None else key_of(event)
        status, _ = self._call("redeem_ticket", event_id=event_id, at=at)
        self._forget("redeemed_at")
        return status

    def unredeem(self) -> bool:
        """Take that back.  Returns False if the ticket was not used."""
        (unredeemed,) = self._call("unredeem_ticket")
        self._forget("redeemed_at")
        return unredeemed


class Lock(models.Model):
    """A named lock.  Only pg_booking's functions write it.

    ``with Lock.objects.lock(user, "report") as lock:`` releases it at the end.
    """

    resource = models.TextField(primary_key=True)
    owner = models.TextField()
    token = models.BigIntegerField()
    locked_at = models.DateTimeField()
    expires_at = models.DateTimeField()
    note = models.TextField(null=True, blank=True)

    objects = LockManager()

    class Meta:
        db_table = "resource_lock"
        default_permissions = ("view",)

    def __str__(self) -> str:
        return self.resource

    def save(self, *args: Any, **kwargs: Any) -> None:
        raise TypeError("Use Lock.objects.lock(): a lock is not saved.")

    def delete(self, *args: Any, **kwargs: Any) -> Any:
        raise TypeError("Use release(): a lock is not deleted.")

    def __enter__(self) -> Lock:
        return self

    def __exit__(self, kind: Any, *args: Any) -> None:
        try:
            self.release()
        except DatabaseError:
            # An aborted transaction takes no statements: the first error counts.
            if kind is None:
                raise

    def assert_held(self, *, at: str = "now") -> None:
        """Let this transaction commit only if we still have the lock, or raise LockLost."""
        self._locks.assert_held(self.resource, self.token, at=at)

    def renew(self, ttl: timedelta = timedelta(minutes=1)) -> datetime:
        """Let the lock expire in ttl from now; return when.  Raises LockLost."""
        self.expires_at = self._locks.renew(self.resource, self.token, ttl)
        return self.expires_at

    def release(self) -> bool:
        """Give the lock back.  Returns False if it was lost."""
        return self._locks.release(self.resource, self.token)

    @property
    def _locks(self) -> LockManager:
        return Lock.objects.db_manager(self._state.db)
