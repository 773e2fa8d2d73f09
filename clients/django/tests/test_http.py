"""Views, the admin, persistent connections and flush."""

from io import StringIO
from tempfile import NamedTemporaryFile

from django.contrib import admin
from django.contrib.auth.models import User
from django.core.management import call_command
from django.core.management.color import no_style
from django.db import IntegrityError, connection
from django_pg_booking.tickets.models import Event, Hold
from django_pg_booking.tickets.models import Ticket as EventTicket
from shop.admin import TicketAdmin
from shop.models import Show, Ticket, show_capacity

from django.test import TestCase, TransactionTestCase


class ViewTests(TransactionTestCase):
    """ATOMIC_REQUESTS is on, and the connection stays open between requests."""

    def test_refusal_inside_a_request(self):
        show = Show.objects.create(title="Hamlet", capacity=1)
        self.assertEqual(self.client.post("/buy/%d/" % show.pk).content, b"sold")
        pid = self.pid()
        self.assertEqual(self.client.post("/buy/%d/" % show.pk).content, b"refused")
        self.assertEqual(self.client.post("/buy/%d/" % show.pk).content, b"refused")
        self.assertEqual(self.pid(), pid)
        # What the view wrote after the refusal is committed.
        show.refresh_from_db()
        self.assertEqual(show.title, "sold out")
        self.assertEqual(Ticket.objects.count(), 1)

    def pid(self):
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_backend_pid()")
            return cursor.fetchone()[0]


class AdminTests(TestCase):
    def setUp(self):
        self.admin = User.objects.create_superuser("admin")
        self.client.force_login(self.admin)
        self.show = Show.objects.create(title="Hamlet", capacity=1)
        self.ticket = Ticket.objects.create(show=self.show, user_id=1)

    def post(self, path, expected=200, **data):
        response = self.client.post("/admin/%s/" % path, data)
        self.assertEqual(response.status_code, expected)
        return response

    def test_add(self):
        data = {"show": self.show.pk, "user_id": 2, "status": "sold"}
        response = self.post("shop/ticket/add", **data)
        self.assertContains(response, "The show is sold out.")
        self.assertContains(response, 'value="2"')
        self.assertEqual(Ticket.objects.count(), 1)
        self.post("shop/ticket/add", 302, **{**data, "status": "cancelled"})

    def test_lost_race(self):
        """The last place is sold between the validation and the INSERT."""
        self.ticket.delete()
        data = {"show": self.show.pk, "user_id": 2, "status": "sold"}
        save = Ticket.save

        def sell_first(ticket, *args, **kwargs):
            save(Ticket(show=self.show, user_id=1))
            save(ticket, *args, **kwargs)

        Ticket.save = sell_first
        try:
            response = self.post("shop/ticket/add", **data)
        finally:
            Ticket.save = save
        self.assertContains(response, "The show is sold out.")
        self.assertEqual(Ticket.objects.count(), 0)

    def test_change(self):
        other = Ticket.objects.create(show=self.show, user_id=2, status="cancelled")
        data = {"show": self.show.pk, "user_id": 2, "status": "sold"}
        response = self.post("shop/ticket/%d/change" % other.pk, **data)
        self.assertContains(response, "The show is sold out.")

    def test_inline(self):
        formset = {
            "ticket_set-TOTAL_FORMS": 1,
            "ticket_set-INITIAL_FORMS": 0,
            "ticket_set-0-user_id": 2,
            "ticket_set-0-status": "sold",
            "ticket_set-0-show": self.show.pk,
        }
        path = "shop/show/%d/change" % self.show.pk
        response = self.post(path, title="Hamlet", capacity=1, **formset)
        self.assertContains(response, "The show is sold out.")
        response = self.post(
            path, title="Hamlet", capacity=0, **{**formset, "ticket_set-TOTAL_FORMS": 0}
        )
        self.assertContains(response, "capacity 0, places taken 1")
        self.post(path, 302, title="Hamlet", capacity=2, **formset)

    def test_inline_of_a_model_without_an_admin(self):
        self.addCleanup(admin.site.register, Ticket, TicketAdmin)
        admin.site.unregister(Ticket)
        self.test_inline()

    def test_editable_list(self):
        other = Ticket.objects.create(show=self.show, user_id=2, status="cancelled")
        formset = {
            "form-TOTAL_FORMS": 1,
            "form-INITIAL_FORMS": 1,
            "form-0-id": other.pk,
            "form-0-status": "sold",
            "_save": "Save",
        }
        response = self.client.post("/admin/shop/ticket/", formset, follow=True)
        self.assertContains(response, "The show is sold out.")
        other.refresh_from_db()
        self.assertEqual(other.status, "cancelled")

    def test_tickets_of_events(self):
        event = Event.objects.create(name="Concert", capacity=1)
        data = {"event": event.pk, "user": self.admin.pk, "seat": ""}
        self.post("pg_booking_tickets/ticket/add", 302, **data)
        response = self.post("pg_booking_tickets/ticket/add", **data)
        self.assertContains(response, "is sold out")
        self.assertEqual(EventTicket.objects.count(), 1)
        response = self.post(
            "pg_booking_tickets/event/%d/change" % event.pk, capacity=0
        )
        self.assertContains(response, "capacity")
        self.assertEqual(Event.objects.get().capacity, 1)
        for path in ("event", "ticket", "hold", "lock"):
            response = self.client.get("/admin/pg_booking_tickets/%s/" % path)
            self.assertEqual(response.status_code, 200)
        self.post("pg_booking_tickets/event/add", 302, name="x", capacity=3)

    def test_delete_event_with_holds(self):
        event = Event.objects.create(name="Concert", capacity=1)
        hold = Hold.objects.hold(event, self.admin)
        path = "/admin/pg_booking_tickets/event/%d/delete/" % event.pk
        response = self.client.post(path, {"post": "yes"}, follow=True)
        self.assertContains(response, "still has live holds")
        hold.release()
        self.post("pg_booking_tickets/event/%d/delete" % event.pk, 302, post="yes")

    def test_other_errors(self):
        """An error that is no refusal is raised as without the mixin."""
        save = Ticket.save
        Ticket.save = lambda ticket, *args, **kwargs: User.objects.create(
            username="admin"
        )
        try:
            with self.assertRaises(IntegrityError):
                self.post(
                    "shop/ticket/add", show=self.show.pk, user_id=2, status="cancelled"
                )
        finally:
            Ticket.save = save


class FlushTests(TransactionTestCase):
    def sell(self):
        show = Show.objects.create(title="Hamlet", capacity=1)
        Ticket.objects.create(show=show, user_id=1)
        with self.assertRaises(IntegrityError) as caught:
            Ticket.objects.create(show=show, user_id=2)
        self.assertTrue(show_capacity.violated_by(caught.exception))

    def verify(self):
        with connection.cursor() as cursor:
            cursor.execute("SELECT * FROM booking.verify_capacity()")
            self.assertEqual(cursor.fetchall(), [])

    def test_first(self):
        self.assertFalse(Show.objects.exists())
        self.sell()

    def test_second(self):
        self.assertFalse(Show.objects.exists())
        self.sell()

    def test_orders(self):
        tables = ["shop_show", "shop_ticket", "shop_concert", "shop_concertticket"]
        tables.append("shop_basket")
        for names in (tables, tables[::-1], ["shop_ticket"], ["shop_show"]):
            for reset in (False, True):
                with self.subTest((names, reset)):
                    self.sell()
                    sql = connection.ops.sql_flush(
                        no_style(),
                        names,
                        allow_cascade=len(names) == 1,
                        reset_sequences=reset,
                    )
                    connection.ops.execute_sql_flush(sql)
                    self.verify()

    def test_fixtures(self):
        self.sell()
        out = StringIO()
        call_command("dumpdata", "shop.Show", "shop.Ticket", stdout=out)
        backwards = StringIO()
        call_command("dumpdata", "shop.Ticket", "shop.Show", stdout=backwards)
        self.load(out.getvalue())
        self.assertEqual(Ticket.objects.count(), 1)
        call_command("flush", verbosity=0, interactive=False)
        # A ticket before its show is refused at once.
        with self.assertRaises(IntegrityError) as caught:
            self.load(backwards.getvalue())
        self.assertEqual(caught.exception.__cause__.diag.sqlstate, "23503")
        self.load(out.getvalue())
        self.verify()
        with self.assertRaises(IntegrityError):
            Ticket.objects.create(show=Show.objects.get(), user_id=2)

    def load(self, text):
        with NamedTemporaryFile("w", suffix=".json") as file:
            file.write(text)
            file.flush()
            call_command("loaddata", file.name, verbosity=0)
