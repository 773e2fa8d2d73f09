"""The tables that booking.create_tables() makes.

They are managed, so Django's test cases empty them.  The migrations create them by
pg_booking's own function.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any, Iterable, NamedTuple

from django.conf import settings
from django.db import DatabaseError, models

from ..errors import booking_errors
from .calls import call, key_of
from .fields import ServerDateTimeField, ServerDurationField
from .managers import BookingQuerySet, HoldManager, LockManager, TicketManager


class Availability(NamedTuple):
    """How many places of an event there are, and of which kind."""

    capacity: int
    available: int
    held: int
    booked: int


class BookingModel(models.Model):
    """A model whose save() writes only what was changed since it was loaded.

    Otherwise the save() of an object loaded a while ago would undo what happened since:
    a cancellation, a transfer, a higher capacity.
    """

    class Meta:
        abstract = True

    @classmethod
    def from_db(cls, db: Any, field_names: Any, values: Any) -> Any:
        instance = super().from_db(db, field_names, values)
        instance._remember()
        return instance

    def save(self, *args: Any, **kwargs: Any) -> None:
        if not args and not kwargs.get("force_insert") and self._in_db(kwargs):
            if kwargs.get("update_fields") is None:
                kwargs["update_fields"] = self._changed()
        with booking_errors():
            super().save(*args, **kwargs)
        self._remember(kwargs.get("update_fields"))

    def delete(self, *args: Any, **kwargs: Any) -> Any:
        with booking_errors():
            return super().delete(*args, **kwargs)

    def refresh_from_db(self, using: Any = None, fields: Any = None, **kw: Any) -> None:
        super().refresh_from_db(using=using, fields=fields, **kw)
        self._remember(fields)

    def _in_db(self, kwargs: dict[str, Any]) -> bool:
        same = kwargs.get("using") in (None, self._state.db)
        return same and not self._state.adding and hasattr(self, "_stored")

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

    def _remember(self, names: Iterable[str] | None = None) -> None:
        """Remember the values of these fields, or of all, as those of the database."""
        if names is None:
            self._stored: dict[str, Any] = {}
        wanted = None if names is None else set(names)
        for field in self._meta.concrete_fields:
            if wanted is None or field.name in wanted or field.attname in wanted:
                if field.attname in self.__dict__:
                    self._stored[field.attname] = self.__dict__[field.attname]

    def _forget(self, *names: str) -> None:
        """Let these fields be read again when they are next used."""
        for name in names:
            self.__dict__.pop(name, None)
            self._stored.pop(name, None)

    def _call(self, function: str, *args: Any, **named: Any) -> tuple[Any, ...]:
        using = self._state.db or "default"
        return call(
            using, function, self.pk, *args, missing=type(self).DoesNotExist, **named
        )


class Event(BookingModel):
    """Whatever has a capacity."""

    event_id = models.BigAutoField(primary_key=True)
    name = models.TextField(null=True, blank=True)
    capacity = models.IntegerField()
    max_per_user = models.IntegerField(null=True, blank=True)
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
        """Return how many places are available, held and booked."""
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
        self._remember(["expires_at"])
        return self.expires_at

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
        self._remember(["user"])
        return transferred

    def redeem(self) -> str:
        """Mark the ticket as used: "redeemed", "already_redeemed" or "cancelled"."""
        status, _ = self._call("redeem_ticket")
        self._forget("redeemed_at")
        return status


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
