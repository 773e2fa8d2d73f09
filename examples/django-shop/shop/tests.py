import hashlib
import hmac
from datetime import timedelta
from multiprocessing.pool import ThreadPool
from urllib.error import HTTPError
from urllib.parse import urlencode
from urllib.request import urlopen

from django.conf import settings
from django.contrib.auth.models import User
from django.core.management import call_command
from django.core.servers.basehttp import WSGIServer
from django.db import IntegrityError, connection, transaction
from django.utils import timezone

from django.test import LiveServerTestCase, TestCase

from .models import Show, Ticket, show_capacity

# The test server's queue of 10 is too short for a stampede.
WSGIServer.request_queue_size = 128


def notify(client, path, secret=settings.PAYMENT_SECRET, **data):
    """Call a view as the payment provider does."""
    body = urlencode(data)
    message = (path + body).encode()
    signature = hmac.new(secret.encode(), message, hashlib.sha256).hexdigest()
    form = "application/x-www-form-urlencoded"
    return client.post(path, body, content_type=form, HTTP_X_SIGNATURE=signature)


class StampedeTests(LiveServerTestCase):
    """Real HTTP, 32 clients at once."""

    def stampede(self, path, requests=120):
        def post(number):
            try:
                url = self.live_server_url + path
                with urlopen(url, b"user=%d" % number, timeout=60) as response:
                    return response.status
            except HTTPError as error:
                return error.code

        with ThreadPool(32) as pool:
            return pool.map(post, range(requests), chunksize=1)

    def test_buy(self):
        show = Show.objects.create(title="Hamlet", capacity=40)
        answers = self.stampede("/shows/%d/buy/" % show.pk)
        self.assertEqual((answers.count(201), answers.count(409)), (40, 80))
        self.assertEqual(Ticket.objects.filter(show=show).count(), 40)

    def test_baskets(self):
        """Expired baskets make room, each for one."""
        show = Show.objects.create(title="Hamlet", capacity=40)
        past = timezone.now() - timedelta(minutes=1)
        Ticket.objects.bulk_create(
            Ticket(show=show, user_id=0, status="basket", expires_at=past)
            for _ in range(15)
        )
        answers = self.stampede("/shows/%d/basket/" % show.pk)
        self.assertEqual((answers.count(201), answers.count(409)), (40, 80))
        self.assertEqual(Ticket.objects.filter(status="expired").count(), 15)

    def test_one_basket_paid_by_many_calls(self):
        show = Show.objects.create(title="Hamlet", capacity=1)
        ticket = Ticket.objects.create(show=show, user_id=0, status="basket")

        def pay(number):
            path = "/tickets/%d/paid/" % ticket.pk
            response = notify(self.client_class(), path, payment="payment %d" % number)
            connection.close()
            return response.status_code

        with ThreadPool(8) as pool:
            answers = pool.map(pay, range(8), chunksize=1)
        self.assertEqual((answers.count(200), answers.count(409)), (1, 7))


class SaleInTwoStepsTests(TestCase):
    def setUp(self):
        self.show = Show.objects.create(title="Hamlet", capacity=1)

    def post(self, path, expected, **data):
        post = self.client.post if path.startswith("/shows/") else self.notify
        response = post(path, data)
        self.assertEqual(response.status_code, expected, response.content)
        return response.json()

    def notify(self, path, data):
        return notify(self.client, path, **data)

    def basket(self, expected=201):
        answer = self.post("/shows/%d/basket/" % self.show.pk, expected, user=42)
        return answer.get("ticket")

    def paid(self, ticket, expected=200, payment="payment 1"):
        path = "/tickets/%d/paid/" % ticket
        return self.post(path, expected, payment=payment)["status"]

    def expire(self):
        past = timezone.now() - timedelta(minutes=1)
        Ticket.objects.filter(status="basket").update(expires_at=past)

    def test_paid(self):
        ticket = self.basket()
        self.basket(409)
        self.assertEqual(self.paid(ticket), "paid")
        self.assertIsNone(Ticket.objects.get().expires_at)
        self.basket(409)

    def test_payment_fails(self):
        ticket = self.basket()
        path = "/tickets/%d/failed/" % ticket
        self.assertEqual(self.post(path, 200), {"released": 1})
        self.assertEqual(self.post(path, 200), {"released": 0})
        other = self.basket()
        # It was paid after all, and the place is sold.
        self.assertEqual(self.paid(ticket, 409), "refund")
        self.assertEqual(self.paid(other, payment="payment 2"), "paid")

    def test_payment_comes_twice(self):
        ticket = self.basket()
        self.assertEqual(self.paid(ticket), "paid")
        self.assertEqual(self.paid(ticket), "paid")
        self.assertEqual(self.paid(ticket, 409, "payment 2"), "refund")
        self.assertEqual(Ticket.objects.get().payment, "payment 1")

    def test_payment_comes_late(self):
        ticket = self.basket()
        self.expire()
        # The place was not needed.
        self.assertEqual(self.paid(ticket), "paid")

    def test_payment_comes_late_and_the_place_is_sold(self):
        ticket = self.basket()
        self.expire()
        other = self.basket()
        self.assertEqual(self.paid(ticket, 409), "refund")
        self.assertEqual(self.paid(other, payment="payment 2"), "paid")
        self.assertEqual(Ticket.objects.get(pk=ticket).status, "cancelled")
        # The provider repeats its call when a place is free again.
        Ticket.objects.filter(pk=other).update(status="cancelled")
        self.assertEqual(self.paid(ticket, 409), "refund")
        self.assertEqual(self.paid(self.basket(), payment="payment 3"), "paid")

    def test_payment_of_another_ticket(self):
        Show.objects.update(capacity=2)
        self.assertEqual(self.paid(self.basket()), "paid")
        other = self.basket()
        self.assertEqual(self.paid(other, 409), "refund")
        self.assertEqual(self.paid(other, payment="payment 2"), "paid")

    def test_wrong_signature(self):
        ticket = self.basket()
        for path in ("/tickets/%d/paid/" % ticket, "/tickets/%d/failed/" % ticket):
            for response in (
                self.client.post(path, {"payment": "payment 1"}),
                self.client.post(path, HTTP_X_SIGNATURE="é"),
                notify(self.client, path, "a guess", payment="payment 1"),
            ):
                self.assertEqual(response.status_code, 403)
        self.assertEqual(Ticket.objects.get().status, "basket")

    def test_wrong_arguments(self):
        for user in ("ann", "-1", "", "9" * 19):
            for way in ("buy", "basket"):
                path = "/shows/%d/%s/" % (self.show.pk, way)
                response = self.client.post(path, {"user": user})
                self.assertEqual(response.status_code, 400)
        path = "/tickets/%d/paid/" % self.basket()
        for data in ({}, {"payment": "x" * 101}):
            self.assertEqual(self.notify(path, data).status_code, 400)

    def test_payment_comes_late_and_the_place_is_free_again(self):
        ticket = self.basket()
        self.expire()
        other = self.basket()
        self.post("/tickets/%d/failed/" % other, 200)
        self.assertEqual(self.paid(ticket), "paid")


class CodeTests(TestCase):
    def test_the_view_without_its_count(self):
        """The constraint refuses, not only the code."""
        show = Show.objects.create(title="Hamlet", capacity=0)
        with self.assertRaises(IntegrityError) as caught, transaction.atomic():
            Ticket.objects.create(show=show, user_id=1)
        self.assertTrue(show_capacity.violated_by(caught.exception))

    def test_admin(self):
        self.client.force_login(User.objects.create_superuser("admin"))
        show = Show.objects.create(title="Hamlet", capacity=0)
        data = {"show": show.pk, "user_id": 1, "status": "paid"}
        response = self.client.post("/admin/shop/ticket/add/", data)
        self.assertContains(response, "The show is sold out.")
        data["status"] = "cancelled"
        response = self.client.post("/admin/shop/ticket/add/", data)
        self.assertEqual(response.status_code, 302)

    def test_no_migration_is_missing(self):
        call_command("makemigrations", check=True, dry_run=True, verbosity=0)
