"""What makemigrations, sqlmigrate and migrate do with the constraint."""

import uuid
from io import StringIO
from unittest import mock

from django.core.management import call_command
from django.db import DatabaseError, connection, migrations, models, transaction
from django.db.migrations.autodetector import MigrationAutodetector
from django.db.migrations.questioner import MigrationQuestioner
from django.db.migrations.state import ModelState, ProjectState
from django.db.models import Q
from django_pg_booking import CapacityConstraint, admin, orphans
from django_pg_booking.operations import BookingExtension, CreateTables
from django_pg_booking.tickets.models import Event
from django_pg_booking.tickets.models import Ticket as Tickets
from shop.models import Show, Ticket

from django.test import SimpleTestCase, TestCase, TransactionTestCase


def constraints():
    with connection.cursor() as cursor:
        cursor.execute("SELECT to_regclass('booking.capacity_constraints')")
        if cursor.fetchone()[0] is None:
            return set()
        cursor.execute("SELECT constraint_name FROM booking.capacity_constraints")
        return {name for name, in cursor.fetchall()}


def tables():
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT relname FROM pg_class"
            " WHERE relnamespace = to_regnamespace('booking') AND relkind = 'r'"
        )
        return {name for name, in cursor.fetchall()}


def has_extension():
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1 FROM pg_extension WHERE extname = 'pg_booking'")
        return cursor.fetchone() is not None


class CommandTests(TransactionTestCase):
    def tearDown(self):
        call_command("migrate", verbosity=0)

    def test_no_change_is_missing(self):
        call_command("makemigrations", check=True, dry_run=True, verbosity=0)

    def test_sqlmigrate(self):
        out = StringIO()
        call_command("sqlmigrate", "shop", "0002", stdout=out)
        self.assertIn(
            "SELECT booking.add_capacity_constraint('\"shop_ticket\"'", out.getvalue()
        )
        out = StringIO()
        call_command("sqlmigrate", "shop", "0002", backwards=True, stdout=out)
        self.assertIn(
            "SELECT booking.drop_capacity_constraint('shop_ticket_capacity')",
            out.getvalue(),
        )

    def test_there_and_back(self):
        before = constraints()
        self.assertEqual(len(before), 5)
        call_command("migrate", "shop", "0001", verbosity=0)
        self.assertEqual(constraints(), set())
        # The tables of tickets still use it.
        self.assertTrue(has_extension())
        show = Show.objects.create(capacity=0)
        Ticket.objects.create(show=show, user_id=1)
        with self.assertRaises(DatabaseError):
            call_command("migrate", "shop", verbosity=0)
        self.assertEqual(constraints(), set())
        Ticket.objects.all().delete()
        call_command("migrate", "shop", verbosity=0)
        self.assertEqual(constraints(), before)

    def test_all_the_way_back(self):
        call_command("migrate", "shop", "zero", verbosity=0)
        call_command("migrate", "pg_booking_tickets", "0001", verbosity=0)
        self.assertEqual(tables(), set())
        self.assertTrue(has_extension())
        call_command("migrate", "pg_booking_tickets", "zero", verbosity=0)
        self.assertFalse(has_extension())
        call_command("migrate", verbosity=0)
        self.assertEqual(len(constraints()), 5)

    def test_faked(self):
        """The tables stay, and so do the constraints, whatever the state says."""
        call_command("migrate", "shop", "zero", fake=True, verbosity=0)
        self.assertEqual(len(constraints()), 5)
        call_command("migrate", "shop", fake=True, verbosity=0)
        Ticket.objects.create(show=Show.objects.create(capacity=1), user_id=1)
        with self.assertRaises(DatabaseError):
            Ticket.objects.create(show=Show.objects.get(), user_id=1)

    def test_dropped_without_migrate(self):
        """As if migrate had failed after the tables were dropped."""
        before = constraints()
        with connection.cursor() as cursor:
            cursor.execute("DROP TABLE shop_ticket")
        call_command("migrate", "shop", "zero", fake=True, verbosity=0)
        self.assertEqual(constraints(), before - {"shop_ticket_capacity"})
        with connection.cursor() as cursor:
            cursor.execute(
                'DROP TABLE shop_basket, shop_appointment, "Shop lines",'
                " shop_product, shop_concertticket, shop_concert, shop_show"
            )
        call_command("migrate", "shop", verbosity=0)
        self.assertEqual(constraints(), before)

    def test_inspectdb(self):
        out = StringIO()
        call_command("inspectdb", "event", "ticket", "shop_ticket", stdout=out)
        for text in ("class Event(", "cancelled_at", "class ShopTicket("):
            self.assertIn(text, out.getvalue())


class OperationTests(TestCase):
    """Operations on a project of two models that exists only here."""

    name = "lab_capacity"

    def setUp(self):
        self.states = [ProjectState()]
        self.operations = []
        self.apply(
            migrations.CreateModel(
                "Hall",
                [
                    ("id", models.BigAutoField(primary_key=True)),
                    ("capacity", models.IntegerField()),
                ],
            )
        )

    def constraint(self, **kwargs):
        return CapacityConstraint(
            **{
                "fields": ["hall"],
                "capacity": "hall__capacity",
                "condition": ~Q(status__startswith="cancel"),
                "name": self.name,
                **kwargs,
            }
        )

    def create_seat(self, **options):
        return migrations.CreateModel(
            "Seat",
            [
                ("id", models.BigAutoField(primary_key=True)),
                ("hall", models.ForeignKey("lab.Hall", models.CASCADE)),
                ("status", models.CharField(max_length=10, default="sold")),
            ],
            options=options,
        )

    def apply(self, *operations):
        """Apply operations in one migration, that is by one schema editor."""
        with connection.schema_editor() as editor:
            for operation in operations:
                state = self.states[-1].clone()
                operation.state_forwards("lab", state)
                operation.database_forwards("lab", editor, self.states[-1], state)
                self.states.append(state)
                self.operations.append(operation)

    def undo(self):
        operation, state = self.operations.pop(), self.states.pop()
        with connection.schema_editor() as editor:
            operation.database_backwards("lab", editor, state, self.states[-1])

    def model(self, name):
        return self.states[-1].apps.get_model("lab", name)

    def assertSells(self, places, **names):
        """Exactly so many seats of a hall can be sold."""
        field = names.get("hall", "hall")
        hall = self.model(names.get("Hall", "Hall")).objects.create(
            **{names.get("capacity", "capacity"): places}
        )
        seats = self.model(names.get("Seat", "Seat")).objects
        for number in range(places):
            seats.create(**{field: hall})
        with self.assertRaises(DatabaseError) as caught, transaction.atomic():
            seats.create(**{field: hall})
        self.assertTrue(self.constraint().violated_by(caught.exception))
        seats.create(**{field: hall}, status="cancelled")
        # No ALTER TABLE is possible while checks of foreign keys are pending.
        connection.check_constraints()
        return caught.exception

    def test_add_and_remove(self):
        self.apply(self.create_seat())
        self.apply(migrations.AddConstraint("Seat", self.constraint()))
        self.assertSells(2)
        self.apply(migrations.RemoveConstraint("Seat", self.name))
        self.assertNotIn(self.name, constraints())
        hall = self.model("Hall").objects.create(capacity=0)
        seat = self.model("Seat").objects.create(hall=hall)
        connection.check_constraints()
        with self.assertRaises(DatabaseError):
            with connection.schema_editor() as editor:
                editor.add_constraint(type(seat), self.constraint())
        seat.delete()
        connection.check_constraints()
        self.undo()
        self.assertSells(1)
        self.undo()
        self.assertNotIn(self.name, constraints())

    def test_within_create_model(self):
        """As after squashmigrations."""
        self.apply(self.create_seat(constraints=[self.constraint()]))
        self.assertSells(2)
        self.undo()

    def test_all_in_one_migration(self):
        self.apply(
            self.create_seat(constraints=[self.constraint()]),
            migrations.RenameModel("Hall", "Theatre"),
            migrations.AlterModelTable("Seat", "lab chairs"),
        )
        self.assertSells(2, Hall="Theatre")

    def test_created_and_deleted_in_one_migration(self):
        self.apply(
            self.create_seat(constraints=[self.constraint()]),
            migrations.DeleteModel("Seat"),
        )
        self.assertNotIn(self.name, constraints())

    def test_added_and_removed_in_one_migration(self):
        self.apply(
            self.create_seat(constraints=[self.constraint()]),
            migrations.RemoveConstraint("Seat", self.name),
        )
        self.assertNotIn(self.name, constraints())
        self.undo()
        self.assertSells(1)

    def test_added_again_in_one_migration(self):
        self.apply(
            self.create_seat(constraints=[self.constraint()]),
            migrations.RemoveConstraint("Seat", self.name),
            migrations.AddConstraint("Seat", self.constraint()),
        )
        self.assertSells(1)

    def test_renamed_tables(self):
        self.apply(self.create_seat())
        self.apply(migrations.AddConstraint("Seat", self.constraint()))
        self.apply(migrations.RenameModel("Hall", "Theatre"))
        self.apply(migrations.RenameModel("Seat", "Chair"))
        self.apply(migrations.AlterModelTable("Chair", "lab chairs"))
        error = self.assertSells(2, Hall="Theatre", Seat="Chair")
        self.assertEqual(self.admin_says(error), "No place is left.")
        with self.assertRaises(DatabaseError) as caught, transaction.atomic():
            self.model("Theatre").objects.update(capacity=1)
        self.assertIn("capacity 1, places taken 2", self.admin_says(caught.exception))

    def admin_says(self, error):
        with mock.patch.object(admin, "apps", self.states[-1].apps):
            return admin.RefusalAdminMixin().refusal_message(error)

    def test_renamed_fields(self):
        """makemigrations removes the constraint before the rename."""
        self.apply(self.create_seat())
        self.apply(migrations.AddConstraint("Seat", self.constraint()))
        before, after = self.states[-1], self.states[-1].clone()
        for rename in (
            migrations.RenameField("Hall", "capacity", "places"),
            migrations.RenameField("Seat", "hall", "theatre"),
        ):
            rename.state_forwards("lab", after)
        after.models["lab", "seat"].options["constraints"] = [
            self.constraint(fields=["theatre"], capacity="theatre__places")
        ]
        questioner = MigrationQuestioner({"ask_rename": True})
        detector = MigrationAutodetector(before, after, questioner)
        operations = detector._detect_changes()["lab"][0].operations
        self.assertEqual(
            [type(operation).__name__ for operation in operations],
            ["RemoveConstraint", "RenameField", "RenameField", "AddConstraint"],
        )
        self.apply(*operations)
        self.assertSells(2, hall="theatre", capacity="places")
        for operation in operations:
            self.undo()
        self.assertSells(2)

    def test_altered_field(self):
        """A column of the constraint changes its type: remove it, and add it again."""
        self.apply(self.create_seat())
        self.apply(migrations.AddConstraint("Seat", self.constraint()))
        longer = migrations.AlterField(
            "Seat", "status", models.CharField(max_length=99, default="sold")
        )
        with self.assertRaises(DatabaseError), transaction.atomic():
            self.apply(longer)
        self.apply(
            migrations.RemoveConstraint("Seat", self.name),
            longer,
            migrations.AddConstraint("Seat", self.constraint()),
        )
        self.assertSells(2)

    def test_makemigrations_adds(self):
        before, after = ProjectState(), ProjectState()
        for state, constraints in ((before, []), (after, [self.constraint()])):
            state.add_model(
                ModelState(
                    "lab",
                    "Seat",
                    [("hall", models.IntegerField(primary_key=True))],
                    {"constraints": constraints},
                )
            )
        changes = MigrationAutodetector(before, after)._detect_changes()
        (operation,) = changes["lab"][0].operations
        self.assertIsInstance(operation, migrations.AddConstraint)
        changes = MigrationAutodetector(after, before)._detect_changes()
        (operation,) = changes["lab"][0].operations
        self.assertIsInstance(operation, migrations.RemoveConstraint)
        self.assertEqual(MigrationAutodetector(after, after)._detect_changes(), {})

    def test_deleted_model(self):
        """DeleteModel leaves the constraint; migrate's signals take it away."""
        self.apply(self.create_seat(constraints=[self.constraint()]))
        present, before = self.states[-1], constraints()
        self.apply(migrations.DeleteModel("Seat"))
        self.assertEqual(constraints(), before)
        self.drop_orphans(present)
        self.assertEqual(constraints(), before)
        self.drop_orphans()
        self.assertEqual(constraints(), before - {self.name})

    def test_model_deleted_from_the_state_only(self):
        self.apply(self.create_seat(constraints=[self.constraint()]))
        gone = self.states[-1].clone()
        gone.remove_model("lab", "seat")
        self.drop_orphans(gone)
        self.assertSells(1)
        with connection.cursor() as cursor:
            cursor.execute("CREATE ROLE lab_owner")
            cursor.execute("ALTER TABLE lab_seat OWNER TO lab_owner")
            cursor.execute("ALTER TABLE lab_hall OWNER TO lab_owner")
        self.drop_orphans(gone)
        self.assertIn(self.name, constraints())

    def drop_orphans(self, state=None):
        """Send the signal as if these operations were an app's migration."""

        class Loader:
            def __init__(self, connection):
                migration = mock.Mock(operations=operations)
                self.disk_migrations = {("lab", "0001"): migration}

        operations = self.operations
        with mock.patch.object(orphans, "MigrationLoader", Loader):
            orphans.drop("default", (state or self.states[-1]).apps)

    def test_not_postgresql(self):
        class Editor:
            class connection:
                vendor = "sqlite"

        from django.db import NotSupportedError

        with self.assertRaises(NotSupportedError):
            self.constraint().create_sql(Ticket, Editor)


class UuidTests(TestCase):
    def test_uuids_of_users(self):
        """The tables with another type of user ids, in place of those that are there."""
        with connection.schema_editor() as editor:
            operation = CreateTables("uuid")
            operation.database_backwards("pg_booking_tickets", editor, None, None)
            self.assertEqual(tables(), constraints())
            operation.database_forwards("pg_booking_tickets", editor, None, None)
        event = Event.objects.create(capacity=1)
        user = uuid.uuid4()
        Tickets.objects.book(event, user)
        self.assertEqual(Tickets.objects.try_book(event, user).status, "sold_out")
        with connection.cursor() as cursor:
            cursor.execute("SELECT user_id FROM booking.ticket")
            self.assertEqual(cursor.fetchall(), [(user,)])


class TablesTests(SimpleTestCase):
    def test_types_of_users(self):
        for field, expected in (
            (models.UUIDField(primary_key=True), "uuid"),
            (models.TextField(primary_key=True), "text"),
            (models.AutoField(primary_key=True), "bigint"),
        ):
            state = ProjectState()
            state.add_model(ModelState("auth", "User", [("key", field)]))
            self.assertEqual(CreateTables()._type_of_users(state), expected)

    def test_deconstruct(self):
        self.assertEqual(CreateTables().deconstruct(), ("CreateTables", [], {}))
        self.assertEqual(
            CreateTables("uuid").deconstruct(),
            ("CreateTables", [], {"user_id_type": "uuid"}),
        )
        self.assertEqual(BookingExtension().describe(), "Creates extension pg_booking")
        self.assertEqual(
            BookingExtension().migration_name_fragment, "create_extension_pg_booking"
        )
