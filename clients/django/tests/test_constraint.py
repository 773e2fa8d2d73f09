"""CapacityConstraint: its arguments, its statement, and what it does."""

import datetime
import uuid

from django.core.exceptions import FieldError
from django.db import IntegrityError, connection, models, transaction
from django.db.models import Q
from django_pg_booking import CapacityConstraint, PlacesLeft
from django_pg_booking.checks import check_constraints
from shop.models import (
    Appointment,
    Basket,
    Concert,
    ConcertTicket,
    OrderLine,
    Product,
    Show,
    Ticket,
    show_capacity,
)

from django.test import SimpleTestCase, TestCase
from django.test.utils import isolate_apps


def constraint(**kwargs):
    return CapacityConstraint(
        **{"fields": ["show"], "capacity": "show__capacity", "name": "c", **kwargs}
    )


class ArgumentsTests(SimpleTestCase):
    def test_wrong_arguments(self):
        for kwargs in (
            {"fields": []},
            {"fields": "show"},
            {"fields": ["a", "b", "c", "d", "e"], "capacity": 1},
            {"capacity": "capacity"},
            {"capacity": "show__hall__capacity"},
            {"capacity": "hall__capacity"},
            {"fields": ["show", "user_id"]},
            {"capacity": -1},
            {"capacity": True},
            {"capacity": 1.5},
            {"condition": "status <> 'cancelled'"},
            {"expires_at": "expires_at"},
            {"on_expiry": "DELETE"},
            {"expires_at": "expires_at", "on_expiry": "delete"},
            {"expires_at": "expires_at", "on_expiry": {}},
        ):
            with self.subTest(kwargs), self.assertRaises(ValueError):
                constraint(**kwargs)

    def test_deconstruct(self):
        full = constraint(
            condition=Q(status="sold"),
            quantity="quantity",
            allow_excess=True,
            expires_at="expires_at",
            on_expiry={"status": "expired"},
            violation_error_message="Sold out.",
        )
        for original in (constraint(), full, constraint(fields=["a", "b"], capacity=3)):
            path, args, kwargs = original.deconstruct()
            self.assertEqual(path, "django_pg_booking.CapacityConstraint")
            self.assertEqual(args, ())
            self.assertEqual(CapacityConstraint(**kwargs), original)
            self.assertEqual(original.clone(), original)
            self.assertEqual(hash(original.clone()), hash(original))
        self.assertEqual(
            constraint().deconstruct()[2],
            {"fields": ("show",), "capacity": "show__capacity", "name": "c"},
        )

    def test_equality(self):
        for kwargs in (
            {"name": "d"},
            {"fields": ["hall"], "capacity": "hall__capacity"},
            {"capacity": "show__places"},
            {"capacity": 1},
            {"condition": Q(status="sold")},
            {"quantity": "quantity"},
            {"allow_excess": True},
            {"expires_at": "expires_at", "on_expiry": "DELETE"},
            {"violation_error_message": "Sold out."},
        ):
            with self.subTest(kwargs):
                self.assertNotEqual(constraint(), constraint(**kwargs))
        self.assertNotEqual(constraint(), "c")

    def test_repr(self):
        self.assertEqual(
            repr(constraint(quantity="n")),
            "<CapacityConstraint: fields=('show',), capacity='show__capacity', "
            "name='c', quantity='n'>",
        )

    def test_checks(self):
        self.assertEqual(check_constraints(), [])
        for kwargs, problem in (
            (
                {"fields": ["shoe"], "capacity": "shoe__capacity"},
                "no field named 'shoe'",
            ),
            ({"capacity": "show__places"}, "no field named 'places'"),
            ({"capacity": "show__ticket"}, "no column"),
            ({"fields": ["status"], "capacity": "status__x"}, "not a foreign key"),
            ({"condition": Q(state="sold")}, "no field named 'state'"),
            ({"condition": Q()}, "the same for all rows"),
            ({"condition": ~Q(status__in=[])}, "the same for all rows"),
            ({"condition": Q(status__in=[])}, "the same for all rows"),
            ({"condition": Q(status__no="x")}, "Unsupported lookup 'no'"),
            ({"condition": Q(show__title="x")}, "Joined field references"),
            ({"quantity": "quantity"}, "no field named 'quantity'"),
            ({"expires_at": "x", "on_expiry": "DELETE"}, "no field named 'x'"),
            ({"expires_at": "user_id", "on_expiry": {"y": 1}}, "no field named 'y'"),
            ({"name": "ü" * 32}, "longer than 63 bytes"),
        ):
            with self.subTest(kwargs):
                (error,) = constraint(**kwargs).check_model(Ticket)
                self.assertEqual(error.id, "pg_booking.E001")
                self.assertIn(problem, error.msg)
        inherited = CapacityConstraint(fields=["title"], capacity=1, name="c")
        self.assertIn(
            "no column in shop_concert", inherited.check_model(Concert)[0].msg
        )

    @isolate_apps("shop")
    def test_unresolved_foreign_key(self):
        class Seat(models.Model):
            hall = models.ForeignKey("lab.Missing", models.CASCADE)
            user_id = models.BigIntegerField()

            class Meta:
                app_label = "shop"

        for wrong in (
            constraint(fields=["hall"], capacity="hall__capacity"),
            constraint(fields=["hall"], capacity=1),
            constraint(fields=["user_id"], capacity=1, condition=Q(hall=1)),
        ):
            (error,) = wrong.check_model(Seat)
            self.assertIn("hall refers to a model that does not exist", error.msg)


class StatementTests(TestCase):
    def create_sql(self, model, constraint):
        with connection.schema_editor(collect_sql=True, atomic=False) as editor:
            return str(constraint.create_sql(model, editor))

    def test_statement(self):
        self.assertEqual(
            self.create_sql(Ticket, show_capacity),
            "SELECT booking.add_capacity_constraint('\"shop_ticket\"', "
            "ARRAY['show_id'], capacity_table => '\"shop_show\"', "
            "capacity_column => 'capacity', "
            "condition => 'NOT (\"status\" = ''cancelled'')', "
            "constraint_name => 'shop_ticket_capacity')",
        )

    def test_no_percent_sign(self):
        sql = self.create_sql(Appointment, Appointment._meta.constraints[0])
        self.assertNotIn("%", sql)

    def test_joined_condition(self):
        with self.assertRaises(FieldError):
            self.create_sql(Ticket, constraint(condition=Q(show__title="x")))

    def test_values_of_conditions(self):
        """What the database stores is what Django's Q says."""
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT constraint_name, condition FROM booking.capacity_constraints"
            )
            conditions = dict(cursor.fetchall())
        self.assertIn(r"'it''s \ cancelled'::text", conditions["appointment_capacity"])
        self.assertIn(r"'100\% c%'::text", conditions["appointment_capacity"])

    def test_types_of_conditions(self):
        """Conditions with values of other types are accepted by the database."""
        for number, condition in enumerate(
            (
                Q(paid=True),
                Q(paid=False) | Q(day__gte=datetime.date(2026, 1, 1)),
                Q(status__in=["a", "b%", "it's"]),
                Q(status__isnull=True),
                Q(doctor=models.F("status")),
                Q(status=Appointment.Status.BOOKED),
                Q(pk__gt=7),
            )
        ):
            with self.subTest(condition), transaction.atomic():
                added = CapacityConstraint(
                    fields=["doctor"],
                    capacity=7,
                    condition=condition,
                    name="added_%d" % number,
                )
                with connection.schema_editor() as editor:
                    editor.add_constraint(Appointment, added)
                    editor.remove_constraint(Appointment, added)


class EnforcementTests(TestCase):
    def setUp(self):
        self.show = Show.objects.create(title="Hamlet", capacity=2)

    def refused(self, constraint_name, function, *args, **kwargs):
        with self.assertRaises(IntegrityError) as caught, transaction.atomic():
            function(*args, **kwargs)
        error = caught.exception
        for model in (Ticket, ConcertTicket, OrderLine, Appointment, Basket):
            for each in model._meta.constraints:
                self.assertEqual(each.violated_by(error), each.name == constraint_name)
        return error

    def test_sold_out(self):
        first = Ticket.objects.create(show=self.show, user_id=1)
        Ticket.objects.create(show=self.show, user_id=2, status="cancelled")
        Ticket.objects.create(show=self.show, user_id=3)
        name = "shop_ticket_capacity"
        self.refused(name, Ticket.objects.create, show=self.show, user_id=4)
        self.refused(
            name, Ticket.objects.bulk_create, [Ticket(show=self.show, user_id=4)]
        )
        self.refused(name, Ticket.objects.update, status="sold")
        first.status = "cancelled"
        first.save()
        Ticket.objects.create(show=self.show, user_id=4)
        self.refused(name, Show.objects.update, capacity=1)
        Show.objects.update(capacity=None)
        Ticket.objects.bulk_create([Ticket(show=self.show, user_id=5)] * 5)

    def test_other_errors(self):
        """Errors that are not the refusal."""
        with self.assertRaises(IntegrityError) as caught, transaction.atomic():
            Ticket.objects.create(show_id=self.show.pk + 1, user_id=1)
        self.assertFalse(show_capacity.violated_by(caught.exception))
        with self.assertRaises(IntegrityError) as caught, transaction.atomic():
            Ticket.objects.create(show=self.show, user_id=None)
        self.assertFalse(show_capacity.violated_by(caught.exception))
        self.assertFalse(show_capacity.violated_by(IntegrityError("no cause")))
        self.assertFalse(show_capacity.violated_by(ValueError()))

    def test_cause(self):
        """The driver's own error is told apart, too."""
        error = self.refused(
            "shop_ticket_capacity",
            Ticket.objects.bulk_create,
            [Ticket(show=self.show, user_id=1)] * 3,
        )
        self.assertTrue(show_capacity.violated_by(error.__cause__))

    def test_inherited_capacity(self):
        concert = Concert.objects.create(capacity=1)
        ConcertTicket.objects.create(concert=concert)
        self.refused("concert_capacity", ConcertTicket.objects.create, concert=concert)

    def test_quantity_and_excess(self):
        product = Product.objects.create(stock=10)
        OrderLine.objects.create(product=product, pieces=8)
        OrderLine.objects.create(product=product, pieces=None)
        self.refused("it's stock", OrderLine.objects.create, product=product, pieces=3)
        Product.objects.update(stock=1)
        self.refused("it's stock", OrderLine.objects.create, product=product, pieces=1)

    def test_key_of_two_columns(self):
        key = {"doctor": "O'Neill", "day": datetime.date(2026, 1, 2)}
        Appointment.objects.create(**key)
        Appointment.objects.create(**key, status=None)
        Appointment.objects.create(**key, status=Appointment.Status.CANCELLED)
        Appointment.objects.create(**key, status="100% cancelled")
        self.refused("appointment_capacity", Appointment.objects.create, **key)
        self.refused(
            "appointment_capacity", Appointment.objects.create, **key, status=None
        )
        Appointment.objects.create(doctor="O'Neill", day=datetime.date(2026, 1, 3))

    def test_expiry(self):
        past = datetime.datetime(2026, 1, 1, tzinfo=datetime.timezone.utc)
        old = Basket.objects.create(show=self.show, expires_at=past)
        Basket.objects.create(show=self.show)
        Basket.objects.create(show=self.show)
        old.refresh_from_db()
        self.assertEqual(old.status, "it's expired")
        self.refused("basket_capacity", Basket.objects.create, show=self.show)

    def test_places_left(self):
        free = Show.objects.create(title="free")
        Ticket.objects.create(show=self.show, user_id=1)
        left = Show.objects.annotate(left=PlacesLeft("shop_ticket_capacity", "pk"))
        self.assertEqual(left.get(pk=self.show.pk).left, 1)
        self.assertIsNone(left.get(pk=free.pk).left)
        self.assertEqual([show.pk for show in left.filter(left__gt=0)], [self.show.pk])
        sold_out = Show.objects.create(capacity=0)
        on_sale = left.filter(Q(left__gt=0) | Q(left=None))
        self.assertEqual(set(on_sale), {self.show, free})
        self.assertNotIn(sold_out, on_sale)
        tickets = Ticket.objects.annotate(
            left=PlacesLeft("shop_ticket_capacity", "show")
        )
        self.assertEqual(tickets.get().left, 1)
        appointment = Appointment.objects.create(
            doctor="x", day=datetime.date(2026, 1, 2)
        )
        annotated = Appointment.objects.annotate(
            left=PlacesLeft("appointment_capacity", "doctor", "day")
        )
        self.assertEqual(annotated.get(pk=appointment.pk).left, 1)

    def test_uuid_key_left(self):
        product = Product.objects.create(stock=3, sku=uuid.uuid4())
        annotated = Product.objects.annotate(left=PlacesLeft("it's stock", "sku"))
        self.assertEqual(annotated.get(pk=product.pk).left, 3)
