/*
 * The install script of pg_booking, put together by make from src/.
 *
 * The extension has functions only.  The tables are the user's own: they are
 * made by booking.create_tables(), and neither DROP EXTENSION nor pg_dump treats
 * them otherwise than any other table.
 *
 * A function with a user's id has two forms, for bigint and for text, whatever
 * the type of the columns is.  An untyped parameter resolves to the text form.
 */

-- complain if script is sourced in psql, rather than via CREATE EXTENSION
\echo Use "CREATE EXTENSION pg_booking" to load this file. \quit
