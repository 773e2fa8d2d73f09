import django_pg_booking
from django.db import migrations, models
from django_pg_booking.operations import BookingExtension


class Migration(migrations.Migration):
    dependencies = [("shop", "0001_initial")]

    operations = [
        BookingExtension(),
        migrations.AddConstraint(
            model_name="appointment",
            constraint=django_pg_booking.CapacityConstraint(
                capacity=2,
                condition=models.Q(
                    models.Q(("status", "it's \\ cancelled"), _negated=True),
                    models.Q(("status__startswith", "100% c"), _negated=True),
                ),
                fields=("doctor", "day"),
                name="appointment_capacity",
            ),
        ),
        migrations.AddConstraint(
            model_name="ticket",
            constraint=django_pg_booking.CapacityConstraint(
                capacity="show__capacity",
                condition=models.Q(("status", "cancelled"), _negated=True),
                fields=("show",),
                name="shop_ticket_capacity",
                violation_error_message="The show is sold out.",
            ),
        ),
        migrations.AddConstraint(
            model_name="orderline",
            constraint=django_pg_booking.CapacityConstraint(
                allow_excess=True,
                capacity="product__stock",
                fields=("product",),
                name="it's stock",
                quantity="pieces",
            ),
        ),
        migrations.AddConstraint(
            model_name="basket",
            constraint=django_pg_booking.CapacityConstraint(
                capacity="show__capacity",
                condition=models.Q(("status", "it's expired"), _negated=True),
                expires_at="expires_at",
                fields=("show",),
                name="basket_capacity",
                on_expiry={"status": "it's expired"},
            ),
        ),
        migrations.AddConstraint(
            model_name="concertticket",
            constraint=django_pg_booking.CapacityConstraint(
                capacity="concert__capacity",
                fields=("concert",),
                name="concert_capacity",
            ),
        ),
    ]
