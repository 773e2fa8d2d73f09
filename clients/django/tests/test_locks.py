"""Named locks."""

from datetime import timedelta

from django.contrib.auth.models import User
from django.db import connection, transaction
from django.utils import timezone
from django_pg_booking import Locked, LockLost, booking_errors
from django_pg_booking.tickets.managers import resource_name
from django_pg_booking.tickets.models import Lock
from shop.models import Show

from django.test import TestCase, TransactionTestCase
from django.test.utils import isolate_apps


class LockTests(TestCase):
    def setUp(self):
        self.ann = User.objects.create(username="ann")
        self.bob = User.objects.create(username="bob")
        self.article = Show.objects.create(title="an article")

    def test_lock(self):
        lock = Lock.objects.lock(self.ann, self.article, note="editing")
        self.assertEqual(lock.resource, "shop.show:%s" % self.article.pk)
        self.assertEqual((lock.owner, lock.note), (str(self.ann.pk), "editing"))
        self.assertEqual(list(Lock.objects.held()), [lock])
        with self.assertRaises(Locked) as caught:
            Lock.objects.lock(self.bob, self.article)
        self.assertIn(str(self.ann.pk), caught.exception.diag.message_detail)
        self.assertIsNone(Lock.objects.try_lock(self.bob, self.article))
        self.assertTrue(lock.release())
        self.assertFalse(lock.release())
        self.assertEqual(
            Lock.objects.try_lock(self.bob, self.article).owner, str(self.bob.pk)
        )

    @isolate_apps("shop")
    def test_names_of_resources(self):
        class Article(Show):
            class Meta:
                app_label = "shop"
                proxy = True

        proxy = Article.objects.get(pk=self.article.pk)
        self.assertEqual(resource_name(proxy), resource_name(self.article))
        with self.assertRaises(ValueError):
            Lock.objects.lock(self.ann, Show())

    def test_lost(self):
        """The same owner in a second window has the lock; the first has lost it."""
        first = Lock.objects.lock(self.ann, self.article)
        second = Lock.objects.lock(self.ann, self.article)
        self.assertGreater(second.token, first.token)
        second.assert_held()
        for use in (first.assert_held, first.renew):
            with self.assertRaises(LockLost), transaction.atomic():
                use()
        Lock.objects.assert_held(self.article, second.token)
        with self.assertRaises(LockLost), transaction.atomic():
            Lock.objects.assert_held(self.article, first.token)

    def test_expiry(self):
        lock = Lock.objects.lock(self.ann, "report", ttl=timedelta(minutes=1))
        self.assertGreater(
            lock.renew(timedelta(hours=1)) - timezone.now(), timedelta(minutes=59)
        )
        self.assertEqual(lock.expires_at, Lock.objects.get().expires_at)

    def test_context(self):
        with Lock.objects.lock(self.ann, "report") as lock:
            lock.assert_held()
            self.assertTrue(Lock.objects.held().exists())
        self.assertFalse(Lock.objects.exists())

    def test_not_saved(self):
        lock = Lock.objects.lock(self.ann, "report")
        self.assertRaises(TypeError, lock.save)
        self.assertRaises(TypeError, lock.delete)


class LockTransactionTests(TransactionTestCase):
    def test_error_inside(self):
        """The error of the block is the one that is raised, and the lock is gone."""
        with self.assertRaises(ZeroDivisionError):
            with Lock.objects.lock("me", "report"):
                1 / 0
        self.assertFalse(Lock.objects.exists())
        with self.assertRaises(LockLost):
            with transaction.atomic(), Lock.objects.lock("me", "report"):
                Lock.objects.assert_held("report", -1)
        self.assertFalse(Lock.objects.exists())

    def test_at_commit(self):
        lock = Lock.objects.lock("me", "report")
        with self.assertRaises(LockLost):
            with booking_errors(), transaction.atomic():
                Show.objects.create(title="written under the lock")
                lock.assert_held(at="commit")
                Lock.objects.lock("me", "report")
        self.assertFalse(Show.objects.exists())

    def test_taken_over(self):
        lock = Lock.objects.lock("me", "report", ttl=timedelta(milliseconds=1))
        with connection.cursor() as cursor:
            cursor.execute("SELECT pg_sleep(0.01)")
        other = Lock.objects.lock("other", "report")
        with self.assertRaises(LockLost):
            lock.assert_held()
        other.assert_held()
