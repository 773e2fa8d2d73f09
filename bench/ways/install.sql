-- What every database of the benchmark starts from.

CREATE EXTENSION pg_booking;
SELECT booking.create_tables();
