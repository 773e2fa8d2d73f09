"""pg_booking for Django: at most N rows, as a constraint of a model.

The documentation is doc/django.md in pg_booking's repository.
"""

from .constraints import CapacityConstraint
from .errors import (
    BookingError,
    CapacityInUse,
    HoldExpired,
    KeyMismatch,
    Locked,
    LockLost,
    NoEvent,
    NotOnSale,
    SoldOut,
    UserLimit,
    WrongState,
    booking_errors,
)
from .functions import PlacesLeft
from .version import VERSION

__all__ = [
    "BookingError",
    "CapacityConstraint",
    "CapacityInUse",
    "HoldExpired",
    "KeyMismatch",
    "LockLost",
    "Locked",
    "NoEvent",
    "NotOnSale",
    "PlacesLeft",
    "SoldOut",
    "UserLimit",
    "WrongState",
    "booking_errors",
]

__version__ = VERSION
