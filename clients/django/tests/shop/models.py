import uuid

from django.db import models
from django.db.models import Q
from django_pg_booking import CapacityConstraint


class Show(models.Model):
    title = models.TextField(default="")
    capacity = models.IntegerField(null=True, blank=True)

    def __str__(self):
        return self.title


class Concert(Show):
    """Its table has no capacity: that of the show counts."""

    band = models.TextField(default="")


show_capacity = CapacityConstraint(
    fields=["show"],
    capacity="show__capacity",
    condition=~Q(status="cancelled"),
    name="shop_ticket_capacity",
    violation_error_message="The show is sold out.",
)


class Ticket(models.Model):
    show = models.ForeignKey(Show, models.CASCADE)
    user_id = models.BigIntegerField()
    status = models.CharField(max_length=20, default="sold")

    class Meta:
        constraints = [show_capacity]


class ConcertTicket(models.Model):
    concert = models.ForeignKey(Concert, models.CASCADE)

    class Meta:
        constraints = [
            CapacityConstraint(
                fields=["concert"],
                capacity="concert__capacity",
                name="concert_capacity",
            )
        ]


class Product(models.Model):
    sku = models.UUIDField(unique=True, default=uuid.uuid4)
    stock = models.BigIntegerField()


class OrderLine(models.Model):
    """A quantity, a key that is not the primary key, and excess."""

    product = models.ForeignKey(Product, models.CASCADE, to_field="sku")
    pieces = models.PositiveIntegerField(null=True)

    class Meta:
        db_table = "Shop lines"
        constraints = [
            CapacityConstraint(
                fields=["product"],
                capacity="product__stock",
                quantity="pieces",
                allow_excess=True,
                name="it's stock",
            )
        ]


class Appointment(models.Model):
    """A constant capacity and a key of two columns."""

    class Status(models.TextChoices):
        BOOKED = "100% booked"
        CANCELLED = r"it's \ cancelled"

    doctor = models.TextField(db_column="the doctor")
    day = models.DateField()
    status = models.TextField(choices=Status.choices, default=Status.BOOKED, null=True)
    paid = models.BooleanField(default=False)

    class Meta:
        constraints = [
            CapacityConstraint(
                fields=["doctor", "day"],
                capacity=2,
                condition=~Q(status=r"it's \ cancelled")
                & ~Q(status__startswith="100% c"),
                name="appointment_capacity",
            )
        ]


class Basket(models.Model):
    """Rows that expire."""

    show = models.ForeignKey(Show, models.CASCADE)
    status = models.TextField(default="basket")
    expires_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            CapacityConstraint(
                fields=["show"],
                capacity="show__capacity",
                condition=~Q(status="it's expired"),
                expires_at="expires_at",
                on_expiry={"status": "it's expired"},
                name="basket_capacity",
            )
        ]
