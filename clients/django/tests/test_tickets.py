"""The models of pg_booking's own tables."""

from datetime import timedelta
from io import StringIO
from tempfile import NamedTemporaryFile
from unittest import mock

from django.contrib.auth.models import User
from django.core.management import call_command
from django.core.management.color import no_style
from django.db import DatabaseError, IntegrityError, connection, transaction
from django.db.models import ProtectedError
from django.utils import timezone
from django_pg_booking import (
    BookingError,
    CapacityInUse,
    HoldExpired,
    KeyMismatch,
    NoEvent,
    NotOnSale,
    SoldOut,
    UserLimit,
    WrongState,
    booking_errors,
)
from django_pg_booking.errors import booking_error
from django_pg_booking.tickets.checks import check_search_path
from django_pg_booking.tickets.models import Event, Hold, Lock, Ticket

from django.test import TestCase, TransactionTestCase


def verify():
    with connection.cursor() as cursor:
        cursor.execute("SELECT * FROM booking.verify()")
        return cursor.fetchall()


class BookingTests(TestCase):
    """All refusals here are caught inside a transaction, that of the test."""

    def setUp(self):
        self.ann = User.objects.create(username="ann")
        self.bob = User.objects.create(username="bob")
        self.event = Event.objects.create(name="Concert", capacity=2)

    def tearDown(self):
        self.assertEqual(verify(), [])

    def test_book(self):
        ticket = Ticket.objects.book(self.event, self.ann)
        self.assertEqual((ticket.event, ticket.user), (self.event, self.ann))
        with self.assertNumQueries(1):
            self.assertIsNotNone(ticket.booked_at)
        other = Ticket.objects.book(self.event.pk, self.bob.pk)
        self.assertEqual(Ticket.objects.get(pk=other.pk).user, self.bob)
        with self.assertRaises(SoldOut) as caught:
            Ticket.objects.book(self.event, self.ann)
        self.assertIsInstance(caught.exception, IntegrityError)
        self.assertEqual(caught.exception.diag.sqlstate, "23T01")
        self.assertIn("Places left: 0", caught.exception.diag.message_detail)
        self.assertEqual(self.event.availability(), (2, 0, 0, 2, "sold_out"))
        with self.assertRaises(NoEvent):
            Ticket.objects.book(-1, self.ann)

    def test_cost(self):
        with self.assertNumQueries(3):
            Ticket.objects.book(self.event, self.ann)
        with self.assertNumQueries(3):
            Ticket.objects.try_book(self.event, self.ann)

    def test_try_book(self):
        status, ticket = Ticket.objects.try_book(self.event, self.ann)
        self.assertEqual((status, ticket.user), ("booked", self.ann))
        Ticket.objects.try_book(self.event, self.ann)
        self.assertEqual(Ticket.objects.try_book(self.event, 1), ("sold_out", None))
        self.assertEqual(Ticket.objects.try_book(-1, self.ann), ("no_event", None))

    def test_keys(self):
        first = Ticket.objects.book(self.event, self.ann, idempotency_key="order 1")
        again = Ticket.objects.book(self.event, self.ann, idempotency_key="order 1")
        self.assertEqual(first, again)
        with self.assertRaises(KeyMismatch):
            Ticket.objects.book(self.event, self.bob, idempotency_key="order 1")

    def test_book_many(self):
        with self.assertRaises(SoldOut):
            Ticket.objects.book_many(self.event, self.ann, 3)
        tickets = Ticket.objects.book_many(self.event, self.ann, 2)
        self.assertEqual(set(tickets), set(Ticket.objects.live()))

    def test_plain_statements(self):
        """What Django's own methods do is protected, too."""
        ticket = Ticket.objects.create(event=self.event, user=self.ann)
        self.assertIsNotNone(ticket.booked_at)
        self.assertEqual(ticket.booked_at, Ticket.objects.get().booked_at)
        tickets = Ticket.objects.bulk_create([Ticket(event=self.event, user=self.bob)])
        self.assertIsNotNone(tickets[0].booked_at)
        for sell in (
            lambda: Ticket.objects.create(event=self.event, user=self.bob),
            lambda: Ticket.objects.bulk_create(
                [Ticket(event=self.event, user=self.bob)]
            ),
            lambda: Ticket.objects.get_or_create(event=self.event, user_id=-1),
        ):
            with self.assertRaises(SoldOut), transaction.atomic():
                sell()
        with self.assertRaises(CapacityInUse), transaction.atomic():
            Event.objects.update(capacity=1)
        with self.assertRaises(CapacityInUse), transaction.atomic():
            self.event.capacity = 1
            self.event.save()
        Ticket.objects.filter(user=self.ann).update(cancelled_at=timezone.now())
        self.assertEqual(Ticket.objects.live().count(), 1)
        Ticket.objects.book(self.event, self.bob)
        with self.assertRaises(SoldOut), transaction.atomic():
            Ticket.objects.update(cancelled_at=None)

    def test_defaults(self):
        """What has a default in the database need not be given."""
        self.assertEqual(self.event.hold_ttl, timedelta(minutes=10))
        self.assertEqual(self.event.max_hold_ttl, timedelta(hours=1))
        self.assertIsNotNone(self.event.created_at)
        event = Event(name="x", capacity=1, hold_ttl=timedelta(minutes=2))
        event.full_clean()
        event.save()
        event.refresh_from_db()
        self.assertEqual(event.hold_ttl, timedelta(minutes=2))
        event.hold_ttl = None
        event.save()
        event.refresh_from_db()
        self.assertEqual(event.hold_ttl, timedelta(minutes=10))

    def test_rules(self):
        now = timezone.now()
        limited = Event.objects.create(capacity=9, max_per_user=1)
        Ticket.objects.book(limited, self.ann)
        with self.assertRaises(UserLimit):
            Ticket.objects.book(limited, self.ann)
        self.assertEqual(
            Ticket.objects.try_book(limited, self.ann).status, "user_limit"
        )
        closed = Event.objects.create(capacity=9, sales_end=now)
        with self.assertRaises(NotOnSale):
            Ticket.objects.book(closed, self.ann)

    def test_stale_save(self):
        """An object that was loaded before a cancellation does not undo it."""
        ticket = Ticket.objects.book(self.event, self.ann)
        stale = Ticket.objects.get(pk=ticket.pk)
        self.assertTrue(ticket.cancel())
        self.assertFalse(ticket.cancel())
        self.assertIsNotNone(ticket.cancelled_at)
        stale.seat = "A1"
        stale.save()
        ticket.refresh_from_db()
        self.assertIsNotNone(ticket.cancelled_at)
        self.assertEqual(ticket.seat, "A1")
        with self.assertNumQueries(0):
            ticket.save()
        ticket.cancelled_at = None
        ticket.save()
        self.assertIsNone(Ticket.objects.get(pk=ticket.pk).cancelled_at)

    def test_stale_event(self):
        stale = Event.objects.get()
        self.event.capacity = 5
        self.event.save()
        stale.name = "Opera"
        stale.save()
        self.event.refresh_from_db()
        self.assertEqual((self.event.capacity, self.event.name), (5, "Opera"))

    def test_update_fields(self):
        stale = Event.objects.get()
        self.event.capacity, self.event.name = 5, "Opera"
        self.event.save(update_fields=["capacity"])
        self.assertEqual(Event.objects.get().name, "Concert")
        self.event.save()
        self.assertEqual(Event.objects.get().name, "Opera")
        stale.save()
        self.assertEqual(Event.objects.get().name, "Opera")

    def test_deleted_ticket_is_not_saved_again(self):
        ticket = Ticket.objects.book(self.event, self.ann)
        Ticket.objects.all().delete()
        ticket.seat = "A1"
        with self.assertRaises(DatabaseError), transaction.atomic():
            ticket.save()
        self.assertEqual(Ticket.objects.count(), 0)

    def test_ticket_methods(self):
        ticket = Ticket.objects.book(self.event, self.ann)
        self.assertTrue(ticket.transfer(self.bob))
        self.assertFalse(ticket.transfer(self.bob.pk))
        self.assertEqual(ticket.user, self.bob)
        self.assertEqual(ticket.redeem(), "redeemed")
        self.assertIsNotNone(ticket.redeemed_at)
        self.assertEqual(ticket.redeem(), "already_redeemed")
        with self.assertRaises(WrongState):
            ticket.cancel()
        with self.assertRaises(Ticket.DoesNotExist):
            Ticket(pk=-1).cancel()

    def test_gate(self):
        ticket = Ticket.objects.book(self.event, self.ann)
        other = Event.objects.create(capacity=None)
        self.assertEqual(ticket.redeem(other), "wrong_event")
        self.assertEqual(ticket.redeem(self.event.pk, at=timezone.now()), "redeemed")
        self.assertTrue(ticket.unredeem())
        self.assertFalse(ticket.unredeem())
        self.assertIsNone(ticket.redeemed_at)

    def test_move(self):
        ticket = Ticket.objects.book(self.event, self.ann)
        other = Event.objects.create(capacity=None)
        self.assertTrue(ticket.move(other))
        self.assertFalse(ticket.move(other.pk))
        self.assertEqual(ticket.event, other)
        self.assertEqual(other.availability(), (None, None, 0, 1, "on_sale"))
        with self.assertRaises(NoEvent):
            ticket.move(-1)

    def test_change_hold(self):
        hold = Hold.objects.hold(self.event, self.ann)
        self.assertTrue(hold.change(2, user=self.bob))
        self.assertFalse(hold.change(2))
        self.assertEqual((hold.quantity, hold.user), (2, self.bob))
        with self.assertRaises(SoldOut):
            hold.change(3)
        self.assertEqual([ticket.user for ticket in hold.confirm()], [self.bob] * 2)

    def test_deletion(self):
        """A ticket is deleted before its event, which has to be asked for."""
        Ticket.objects.book(self.event, self.ann)
        with self.assertRaises(ProtectedError):
            self.event.delete()
        with self.assertRaises(ProtectedError):
            self.ann.delete()
        Ticket.objects.all().delete()
        hold = Hold.objects.hold(self.event, self.ann)
        with self.assertRaises(IntegrityError), transaction.atomic():
            self.event.delete()
        hold.release()
        self.event.delete()

    def test_locked_rows(self):
        Ticket.objects.book(self.event, self.ann)
        tickets = Ticket.objects.select_related("event").select_for_update(of=["self"])
        self.assertEqual(tickets.get().event, self.event)

    def test_other_errors_pass(self):
        with self.assertRaises(IntegrityError) as caught, transaction.atomic():
            with booking_errors():
                User.objects.create(username="ann")
        self.assertNotIsInstance(caught.exception, BookingError)

    def test_event_that_is_missing_or_in_use(self):
        """Both are 23503 with the same constraint; only the first is a NoEvent."""
        diag = mock.Mock(
            sqlstate="23503",
            schema_name="booking",
            constraint_name="hold_event_id_fkey",
            column_name="event_id",
        )
        error = IntegrityError("event 7 ...")
        error.diag = diag
        self.assertIsInstance(booking_error(error), NoEvent)
        diag.column_name = None
        self.assertIsNone(booking_error(error))

    def test_checks(self):
        self.assertEqual(check_search_path(databases=["default"]), [])
        with connection.cursor() as cursor:
            cursor.execute("CREATE TABLE public.event (i integer)")
            (error,) = check_search_path(databases=["default"])
            self.assertEqual(error.id, "pg_booking.E003")
            cursor.execute("DROP TABLE public.event")
            cursor.execute("SET search_path = public, my_booking")
            (error,) = check_search_path(databases=["default"])
            self.assertEqual(error.id, "pg_booking.E002")
            elsewhere = mock.Mock(spec=["allow_migrate"])
            elsewhere.allow_migrate.return_value = False
            with self.settings(DATABASE_ROUTERS=[elsewhere]):
                self.assertEqual(check_search_path(databases=["default"]), [])
            cursor.execute('SET search_path = "$user", public, "booking"')
            self.assertEqual(check_search_path(databases=["default"]), [])


class SaveTests(TransactionTestCase):
    """What save() knows of the database, after commits and rollbacks."""

    def setUp(self):
        self.ann = User.objects.create(username="ann")
        self.event = Event.objects.create(name="Concert", capacity=2)

    def assertRolledBack(self, function, *args):
        with self.assertRaises(ZeroDivisionError), transaction.atomic():
            function(*args)
            1 / 0

    def test_commit(self):
        with self.assertNumQueries(0):
            self.event.save()
        self.event.name = "Opera"
        with transaction.atomic():
            self.event.save()
        with self.assertNumQueries(0):
            self.event.save()
        stale = Event.objects.get()
        Event.objects.update(capacity=5)
        stale.name = "Ballet"
        stale.save()
        self.assertEqual(Event.objects.get().capacity, 5)

    def test_rollback(self):
        self.event.name = "Opera"
        self.assertRolledBack(self.event.save)
        self.assertEqual(Event.objects.get().name, "Concert")
        self.event.save()
        self.assertEqual(Event.objects.get().name, "Opera")

    def test_changed_back(self):
        with transaction.atomic():
            self.event.name = "Opera"
            self.event.save()
            self.event.name = "Concert"
            self.event.save()
        self.assertEqual(Event.objects.get().name, "Concert")

    def test_insert_rolled_back(self):
        event = Event(name="Opera", capacity=1)
        self.assertRolledBack(event.save)
        event.save()
        self.assertEqual(Event.objects.get(name="Opera"), event)

    def test_functions_rolled_back(self):
        bob = User.objects.create(username="bob")
        ticket = Ticket.objects.book(self.event, self.ann)
        self.assertRolledBack(ticket.transfer, bob)
        ticket.save()
        self.assertEqual(Ticket.objects.get().user, bob)
        hold = Hold.objects.hold(self.event, self.ann)
        self.assertRolledBack(hold.extend, timedelta(minutes=30))
        hold.save()
        self.assertEqual(Hold.objects.get().expires_at, hold.expires_at)

    def test_cancellation_undone_unread(self):
        Ticket.objects.book(self.event, self.ann)
        ticket = Ticket.objects.get()
        ticket.cancel()
        ticket.cancelled_at = None
        ticket.save()
        self.assertIsNone(Ticket.objects.get().cancelled_at)

    def test_copy(self):
        for key in (None, self.event.pk + 100):
            event = Event.objects.get(pk=self.event.pk)
            event.pk = key
            event.save()
            self.assertNotEqual(event.pk, self.event.pk)
        self.assertEqual(Event.objects.filter(name="Concert").count(), 3)

    def test_without_autocommit(self):
        transaction.set_autocommit(False)
        try:
            self.event.name = "Opera"
            self.event.save()
            transaction.rollback()
            self.event.save()
            transaction.commit()
        finally:
            transaction.set_autocommit(True)
        self.assertEqual(Event.objects.get().name, "Opera")

    def test_update_fields_of_a_row_not_loaded(self):
        event = Event(pk=self.event.pk, name="Opera")
        event.save(update_fields=["name"])
        self.event.refresh_from_db()
        self.assertEqual((self.event.name, self.event.capacity), ("Opera", 2))


class HoldTests(TestCase):
    def setUp(self):
        self.ann = User.objects.create(username="ann")
        self.event = Event.objects.create(name="Concert", capacity=2)

    def tearDown(self):
        self.assertEqual(verify(), [])

    def expire(self, hold):
        """As if its time had passed."""
        Hold.objects.filter(pk=hold.pk).update(
            expires_at=timezone.now() - timedelta(minutes=1)
        )

    def test_confirm(self):
        hold = Hold.objects.hold(self.event, self.ann, 2, ttl=timedelta(minutes=5))
        self.assertLess(hold.expires_at, timezone.now() + timedelta(minutes=6))
        self.assertEqual(list(Hold.objects.live()), [hold])
        with self.assertRaises(SoldOut):
            Hold.objects.hold(self.event, self.ann)
        tickets = hold.confirm()
        self.assertEqual(len(tickets), 2)
        self.assertEqual({ticket.hold_id for ticket in tickets}, {hold.pk})
        self.assertIsNotNone(hold.confirmed_at)
        self.assertEqual(hold.confirm(), tickets)
        with self.assertRaises(WrongState):
            hold.extend(timedelta(minutes=1))

    def test_extend_and_release(self):
        hold = Hold.objects.hold(self.event, self.ann, idempotency_key=7)
        self.assertEqual(
            Hold.objects.hold(self.event, self.ann, idempotency_key=7), hold
        )
        before = hold.expires_at
        self.assertGreater(hold.extend(timedelta(minutes=20)), before)
        self.assertTrue(hold.release())
        self.assertFalse(hold.release())
        self.assertIsNotNone(hold.ended_at)
        with self.assertRaises(WrongState):
            hold.confirm()
        with self.assertRaises(Hold.DoesNotExist):
            Hold(pk=-1).confirm()

    def test_expired(self):
        hold = Hold.objects.hold(self.event, self.ann)
        self.expire(hold)
        self.assertFalse(Hold.objects.live().exists())
        with self.assertRaises(HoldExpired):
            hold.confirm()
        (ticket,) = hold.confirm(rebook=True)
        self.assertEqual(ticket.user, self.ann)

    def test_expired_and_sold(self):
        hold = Hold.objects.hold(self.event, self.ann, 2)
        self.expire(hold)
        Ticket.objects.book(self.event, self.ann)
        with self.assertRaises(SoldOut):
            hold.confirm(rebook=True)


class FlushTests(TransactionTestCase):
    """Django empties the tables between tests of this kind."""

    def fill(self):
        self.assertFalse(Event.objects.exists())
        self.assertFalse(Lock.objects.exists())
        ann = User.objects.create(username="ann")
        event = Event.objects.create(capacity=2)
        Ticket.objects.book(event, ann)
        Hold.objects.hold(event, ann)
        Lock.objects.lock(ann, event)
        with self.assertRaises(SoldOut):
            Ticket.objects.book(event, ann)
        return event

    def test_first(self):
        self.fill()

    def test_second(self):
        self.fill()

    def test_orders(self):
        """TRUNCATE in any order, with CASCADE and without."""
        flush = connection.ops.sql_flush
        tables = ["event", "hold", "ticket", "resource_lock"]
        for names in (tables, tables[::-1], tables[1:] + tables[:1]):
            for cascade in (False, True):
                for reset in (False, True):
                    with self.subTest((names, cascade, reset)):
                        self.fill()
                        sql = flush(
                            no_style(),
                            names,
                            allow_cascade=cascade,
                            reset_sequences=reset,
                        )
                        connection.ops.execute_sql_flush(sql)
                        User.objects.all().delete()
                        self.assertEqual(verify(), [])
        with self.assertRaises(IntegrityError):
            self.fill()
            connection.ops.execute_sql_flush(flush(no_style(), ["event"]))


class FixtureTests(TransactionTestCase):
    def dump(self, *labels):
        out = StringIO()
        call_command("dumpdata", *labels, stdout=out)
        return out.getvalue()

    def load(self, text):
        with NamedTemporaryFile("w", suffix=".json") as file:
            file.write(text)
            file.flush()
            call_command("loaddata", file.name, verbosity=0)

    def states(self):
        """(JSON has milliseconds only, so the times differ a little.)"""
        rows = Ticket.objects.order_by("pk")
        rows = rows.values_list("pk", "hold_id", "cancelled_at", "redeemed_at")
        return [(*row[:2], bool(row[2]), bool(row[3])) for row in rows]

    def empty(self):
        call_command("flush", verbosity=0, interactive=False)

    def test_there_and_back(self):
        """Cancelled tickets stay cancelled, and ids go on after the last one."""
        ann = User.objects.create(username="ann")
        event = Event.objects.create(name="Concert", capacity=3)
        Ticket.objects.book(event, ann).cancel()
        Ticket.objects.book(event, ann).redeem()
        Hold.objects.hold(event, ann).confirm()
        Hold.objects.hold(event, ann)
        dumped = self.dump("auth.User", "pg_booking_tickets")
        before = self.states()
        self.empty()
        self.load(dumped)
        self.assertEqual(self.states(), before)
        self.assertEqual(self.dump("auth.User", "pg_booking_tickets"), dumped)
        self.assertEqual(verify(), [])
        with self.assertRaises(SoldOut):
            Ticket.objects.book(event.pk, ann.pk)
        Event.objects.update(capacity=4)
        self.assertGreater(Ticket.objects.book(event.pk, ann.pk).pk, before[-1][0])

    def test_closed_event(self):
        ann = User.objects.create(username="ann")
        event = Event.objects.create(capacity=3)
        Ticket.objects.book(event, ann)
        Event.objects.update(sales_end=timezone.now())
        dumped = self.dump("auth.User", "pg_booking_tickets")
        self.empty()
        with self.assertRaises(IntegrityError):
            self.load(dumped)
        with transaction.atomic():
            with connection.cursor() as cursor:
                cursor.execute("SET LOCAL booking.importing = on")
            self.load(dumped)
        self.assertEqual(Ticket.objects.count(), 1)
        self.assertEqual(verify(), [])
