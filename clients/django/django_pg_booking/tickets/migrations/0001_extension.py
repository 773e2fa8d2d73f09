from __future__ import annotations

from django.db import migrations
from django_pg_booking.operations import BookingExtension


class Migration(migrations.Migration):
    initial = True

    dependencies: list[tuple[str, str]] = []

    operations = [BookingExtension()]
