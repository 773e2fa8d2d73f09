"""Database functions for queries."""

from __future__ import annotations

from typing import Any

from django.db.models import BigIntegerField, Func, Value


class PlacesLeft(Func):
    """How many places a key of a capacity constraint has left; None: unlimited.

    ``Show.objects.annotate(left=PlacesLeft("shop_ticket_capacity", "pk"))``
    """

    function = "booking.places_left"

    def __init__(self, constraint: str, *key: Any, **extra: Any) -> None:
        name = Value(constraint)
        super().__init__(name, *key, output_field=BigIntegerField(), **extra)
