"""Refusals of pg_booking as exceptions, told apart by their SQLSTATE."""

from __future__ import annotations

from contextlib import contextmanager
from typing import Any, Iterator

from django.db import IntegrityError


def diagnostics(error: BaseException) -> Any:
    """Return the driver's diagnostics of a Django database error, or None."""
    for candidate in (error, error.__cause__):
        diag = getattr(candidate, "diag", None)
        if diag is not None:
            return diag
    return None


def sqlstate(error: BaseException) -> str | None:
    """Return the SQLSTATE of a Django database error, or None."""
    return getattr(diagnostics(error), "sqlstate", None)


class BookingError(IntegrityError):
    """A refusal of a booking function or of a table of pg_booking."""

    @property
    def diag(self) -> Any:
        """The driver's diagnostics: sqlstate, message_detail and so on."""
        return diagnostics(self.__cause__) if self.__cause__ else None


class SoldOut(BookingError):
    """23T01: fewer places are left than asked for."""


class UserLimit(BookingError):
    """23T02: the user would have more places than max_per_user."""


class NotOnSale(BookingError):
    """23T03: the event is not on sale."""


class HoldExpired(BookingError):
    """23T04: the hold has expired."""


class WrongState(BookingError):
    """23T05: the ticket or the hold is no longer open to this."""


class KeyMismatch(BookingError):
    """23T06: the idempotency key was used with other arguments."""


class CapacityInUse(BookingError):
    """23T08: the new capacity is below the places taken."""


class LockLost(BookingError):
    """23T09: the token is not, or no longer, the lock's."""


class Locked(BookingError):
    """23T10: another owner has the lock."""


class NoEvent(BookingError):
    """23503: there is no such event."""


_BY_SQLSTATE: dict[str, type[BookingError]] = {
    "23T01": SoldOut,
    "23T02": UserLimit,
    "23T03": NotOnSale,
    "23T04": HoldExpired,
    "23T05": WrongState,
    "23T06": KeyMismatch,
    "23T08": CapacityInUse,
    "23T09": LockLost,
    "23T10": Locked,
}

# 23503 has these names too if an event that is in use is deleted, but then no column.
_NO_EVENT = {"ticket_event_id_fkey", "hold_event_id_fkey"}


def booking_error(error: IntegrityError) -> BookingError | None:
    """Return an IntegrityError as the BookingError that it stands for, or None."""
    if isinstance(error, BookingError):
        return error
    diag = diagnostics(error)
    state = getattr(diag, "sqlstate", None)
    kind = _BY_SQLSTATE.get(state) if state else None
    if state == "23503" and diag.schema_name == "booking":
        if diag.constraint_name in _NO_EVENT and diag.column_name == "event_id":
            kind = NoEvent
    return kind(*error.args) if kind else None


@contextmanager
def booking_errors() -> Iterator[None]:
    """Raise pg_booking's refusals as BookingErrors.

    Use it around statements of your own; the managers and models do it already.
    Other errors pass unchanged.
    """
    try:
        yield
    except IntegrityError as error:
        found = booking_error(error)
        if found is None or found is error:
            raise
        raise found from error.__cause__
