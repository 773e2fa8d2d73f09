/*
 * The install script of pg_booking, which make puts together from src/.
 *
 * The extension contains functions only.  booking.create_tables() makes the
 * tables, and they belong to the user.  DROP EXTENSION and pg_dump treat them
 * like any other table.
 *
 * A function that takes a user's id has two forms: one for bigint, one for
 * text.  Both exist for each type of the user_id columns.  An argument of
 * unknown type, such as an untyped parameter, resolves to the text form.
 *
 * The COMMENTs don't repeat what every function can raise: 42P01 before
 * create_tables(), 55000 if a table or trigger is not as pg_booking needs it
 * or an event has no inventory, and 25006 if a function that writes is called
 * in a read-only transaction.
 */

-- complain if script is sourced in psql, rather than via CREATE EXTENSION
\echo Use "CREATE EXTENSION pg_booking" to load this file. \quit
