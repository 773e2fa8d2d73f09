from django.db import models
from django.db.models import Q
from django_pg_booking import CapacityConstraint


class Show(models.Model):
    title = models.CharField(max_length=200)
    capacity = models.PositiveIntegerField()

    def __str__(self):
        return self.title


show_capacity = CapacityConstraint(
    name="shop_ticket_show_capacity",
    fields=["show"],
    capacity="show__capacity",
    condition=~Q(status__in=["cancelled", "expired"]),
    expires_at="expires_at",
    on_expiry={"status": "expired"},
    violation_error_message="The show is sold out.",
)


class Ticket(models.Model):
    class Status(models.TextChoices):
        BASKET = "basket"
        PAID = "paid"
        CANCELLED = "cancelled"
        EXPIRED = "expired"

    show = models.ForeignKey(Show, models.PROTECT)
    user_id = models.BigIntegerField()
    status = models.CharField(max_length=10, choices=Status.choices, default="paid")
    expires_at = models.DateTimeField(null=True, blank=True)
    payment = models.CharField(max_length=100, null=True, blank=True, unique=True)

    class Meta:
        constraints = [
            show_capacity,
            models.CheckConstraint(
                check=~Q(status="paid") | Q(expires_at=None),
                name="shop_ticket_paid_stays",
            ),
        ]
        indexes = [
            models.Index(fields=["show", "expires_at"], name="shop_ticket_expiry")
        ]

    def __str__(self):
        return "%s, %s" % (self.show, self.status)
