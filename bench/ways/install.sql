-- Every database of the benchmark is a copy of one with this.

CREATE EXTENSION pg_booking;
SELECT booking.create_tables();
