"""validate(), which Django calls from 4.1 on."""

import datetime
from unittest import skipIf

from django.core.exceptions import ValidationError
from django.db.models import F, Q
from django.db.models.functions import Lower
from django_pg_booking import CapacityConstraint
from shop.models import Appointment, OrderLine, Product, Show, Ticket

import django
from django.test import TestCase


@skipIf(django.VERSION < (4, 1), "this Django does not validate constraints")
class ValidationTests(TestCase):
    def setUp(self):
        self.show = Show.objects.create(title="Hamlet", capacity=1)

    def assertInvalid(self, instance, **kwargs):
        with self.assertRaises(ValidationError) as caught:
            instance.full_clean(**kwargs)
        return caught.exception

    def test_sold_out(self):
        Ticket(show=self.show, user_id=1).full_clean()
        sold = Ticket.objects.create(show=self.show, user_id=1)
        sold.full_clean()
        other = Ticket(show=self.show, user_id=2)
        error = self.assertInvalid(other)
        self.assertEqual(error.messages, ["The show is sold out."])
        self.assertEqual(error.error_dict["__all__"][0].code, "capacity")
        other.full_clean(validate_constraints=False)
        other.full_clean(exclude=["show"])
        other.full_clean(exclude=["status"])
        other.status = "cancelled"
        other.full_clean()
        other.save()
        other.status = "sold"
        self.assertInvalid(other)

    def test_no_key(self):
        error = self.assertInvalid(Ticket(user_id=1))
        self.assertEqual(list(error.error_dict), ["show"])
        error = self.assertInvalid(Ticket(user_id=1, show_id=self.show.pk + 1))
        self.assertEqual(list(error.error_dict), ["show"])

    def test_conditions(self):
        Ticket.objects.create(show=self.show, user_id=self.show.pk)
        ticket = Ticket(show=self.show, user_id=self.show.pk)

        def validate(condition, *exclude):
            CapacityConstraint(
                fields=["show_id"],
                capacity=1,
                condition=condition,
                name="shop_ticket_capacity",
            ).validate(Ticket, ticket, exclude=exclude)

        for condition in (
            Q(show_id__gt=0),
            Q(show__lte=F("user_id")),
            Q(user_id__in=(self.show.pk, 0)),
            ~Q(pk=0),
            ~Q(status__in=["a", "b"]) & Q(show__lt=F("user_id") + 1),
        ):
            with self.subTest(condition):
                self.assertRaises(ValidationError, validate, condition)
                validate(condition, "show")
        validate(Q(show__lte=F("user_id")), "user_id")
        validate(Q(show__lt=F("user_id") + 1), "user_id")
        validate(Q(show__in=[F("user_id"), 1]), "user_id")
        validate(Q(status__startswith=Lower("status")), "status")
        validate(Q(pk__gt=0), "id")
        validate(Q(show__title="x"))

    def test_unlimited(self):
        Ticket(show=Show.objects.create(), user_id=1).full_clean()

    def test_moved(self):
        other = Show.objects.create(capacity=1)
        Ticket.objects.create(show=self.show, user_id=1)
        ticket = Ticket.objects.create(show=other, user_id=1)
        ticket.show = self.show
        self.assertInvalid(ticket)

    def test_quantity_and_excess(self):
        product = Product.objects.create(stock=10)
        line = OrderLine.objects.create(product=product, pieces=6)
        line.pieces = 10
        line.full_clean()
        line.pieces = 11
        error = self.assertInvalid(line)
        self.assertEqual(error.messages, ["No place is left."])
        Product.objects.update(stock=2)
        line.pieces = 5
        line.full_clean()
        self.assertInvalid(OrderLine(product=product, pieces=1))
        OrderLine(product=product, pieces=0).full_clean()

    def test_key_of_two_columns(self):
        key = {"doctor": "O'Neill", "day": datetime.date(2026, 1, 2)}
        Appointment.objects.create(**key)
        Appointment(**key).full_clean()
        Appointment.objects.create(**key)
        self.assertInvalid(Appointment(**key))
