from django.db import migrations
from django.db.models import Q
from django_pg_booking import CapacityConstraint
from django_pg_booking.operations import BookingExtension


class Migration(migrations.Migration):
    dependencies = [("shop", "0001_initial")]

    operations = [
        BookingExtension(),
        migrations.AddConstraint(
            model_name="ticket",
            constraint=CapacityConstraint(
                fields=("show",),
                capacity="show__capacity",
                name="shop_ticket_show_capacity",
                condition=Q(("status__in", ["cancelled", "expired"]), _negated=True),
                expires_at="expires_at",
                on_expiry={"status": "expired"},
                violation_error_message="The show is sold out.",
            ),
        ),
    ]
