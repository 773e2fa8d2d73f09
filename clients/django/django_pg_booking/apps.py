"""The app: checks of the constraints, and what migrate does with them."""

from __future__ import annotations

from django.apps import AppConfig
from django.core import checks
from django.db.models.signals import post_migrate, pre_migrate

from . import orphans
from .checks import check_constraints


class BookingConfig(AppConfig):
    name = "django_pg_booking"
    label = "pg_booking"
    verbose_name = "pg_booking"

    def ready(self) -> None:
        checks.register(check_constraints, checks.Tags.models)
        pre_migrate.connect(orphans.drop, sender=self)
        post_migrate.connect(orphans.drop, sender=self)
