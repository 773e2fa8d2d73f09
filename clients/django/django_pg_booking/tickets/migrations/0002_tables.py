from django.conf import settings
from django.db import migrations, models
from django_pg_booking.operations import CreateTables
from django_pg_booking.tickets import fields


class Migration(migrations.Migration):
    """Creates the tables by pg_booking's own function.  The reverse drops them."""

    initial = True

    dependencies = [
        ("pg_booking_tickets", "0001_extension"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.SeparateDatabaseAndState(
            [CreateTables()],
            [
                migrations.CreateModel(
                    name="Event",
                    fields=[
                        (
                            "event_id",
                            models.BigAutoField(primary_key=True, serialize=False),
                        ),
                        ("name", models.TextField(blank=True, null=True)),
                        ("capacity", models.IntegerField(null=True, blank=True)),
                        ("max_per_user", models.IntegerField(blank=True, null=True)),
                        ("min_per_order", models.IntegerField(blank=True, null=True)),
                        ("max_per_order", models.IntegerField(blank=True, null=True)),
                        ("sales_start", models.DateTimeField(blank=True, null=True)),
                        ("sales_end", models.DateTimeField(blank=True, null=True)),
                        ("hold_ttl", fields.ServerDurationField(blank=True)),
                        ("max_hold_ttl", fields.ServerDurationField(blank=True)),
                        (
                            "created_at",
                            fields.ServerDateTimeField(blank=True, editable=False),
                        ),
                    ],
                    options={
                        "db_table": "event",
                    },
                ),
                migrations.CreateModel(
                    name="Hold",
                    fields=[
                        (
                            "hold_id",
                            models.BigAutoField(primary_key=True, serialize=False),
                        ),
                        ("quantity", models.IntegerField()),
                        ("expires_at", models.DateTimeField()),
                        (
                            "created_at",
                            fields.ServerDateTimeField(blank=True, editable=False),
                        ),
                        ("ended_at", models.DateTimeField(blank=True, null=True)),
                        ("confirmed_at", models.DateTimeField(blank=True, null=True)),
                        (
                            "event",
                            models.ForeignKey(
                                db_constraint=False,
                                on_delete=models.DO_NOTHING,
                                to="pg_booking_tickets.event",
                            ),
                        ),
                        (
                            "user",
                            models.ForeignKey(
                                db_constraint=False,
                                on_delete=models.PROTECT,
                                related_name="+",
                                to=settings.AUTH_USER_MODEL,
                            ),
                        ),
                    ],
                    options={
                        "db_table": "hold",
                    },
                ),
                migrations.CreateModel(
                    name="Ticket",
                    fields=[
                        (
                            "ticket_id",
                            models.BigAutoField(primary_key=True, serialize=False),
                        ),
                        ("seat", models.TextField(blank=True, null=True)),
                        (
                            "hold_id",
                            models.BigIntegerField(
                                blank=True, editable=False, null=True
                            ),
                        ),
                        (
                            "booked_at",
                            fields.ServerDateTimeField(blank=True, editable=False),
                        ),
                        ("redeemed_at", models.DateTimeField(blank=True, null=True)),
                        ("cancelled_at", models.DateTimeField(blank=True, null=True)),
                        (
                            "event",
                            models.ForeignKey(
                                db_constraint=False,
                                on_delete=models.PROTECT,
                                to="pg_booking_tickets.event",
                            ),
                        ),
                        (
                            "user",
                            models.ForeignKey(
                                db_constraint=False,
                                on_delete=models.PROTECT,
                                related_name="+",
                                to=settings.AUTH_USER_MODEL,
                            ),
                        ),
                    ],
                    options={
                        "db_table": "ticket",
                    },
                ),
                migrations.CreateModel(
                    name="Lock",
                    fields=[
                        (
                            "resource",
                            models.TextField(primary_key=True, serialize=False),
                        ),
                        ("owner", models.TextField()),
                        ("token", models.BigIntegerField()),
                        ("locked_at", models.DateTimeField()),
                        ("expires_at", models.DateTimeField()),
                        ("note", models.TextField(blank=True, null=True)),
                    ],
                    options={
                        "db_table": "resource_lock",
                        "default_permissions": ("view",),
                    },
                ),
            ],
        )
    ]
