"""The app with the models of pg_booking's own tables."""

from __future__ import annotations

from django.apps import AppConfig
from django.core import checks

from .checks import check_search_path


class TicketsConfig(AppConfig):
    name = "django_pg_booking.tickets"
    label = "pg_booking_tickets"
    verbose_name = "Booking"

    def ready(self) -> None:
        checks.register(check_search_path, checks.Tags.database)
