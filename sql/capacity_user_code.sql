-- Capacity constraints: more of what the user's functions and triggers do in a statement.
--
-- Promises:
--   - A condition may call functions that catch errors, also within savepoints and within
--     each other.
--   - The pool table has no trigger but ours.  With another one of any kind, writes raise
--     55000.
--   - Rows that were not checked are not committed.
--   - A function that runs while expired rows are ended may remove more rows.  Each counts
--     once, and not at all if its removal is rolled back.
--   - A trigger may change, before and after a row is counted, what it counts.
CALL recreate_booking();
CALL recreate_shop();
ALTER TABLE shop_ticket ADD expires timestamptz;

-- Returns the tickets of show 2 that count; the argument makes it come after a statement.
CREATE FUNCTION live(code text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    RETURN (SELECT string_agg(id::text, ' ' ORDER BY id) FROM public.shop_ticket
            WHERE show_id = 2 AND status = 'paid');
END
$$;

-- ---- conditions that catch errors ----

SELECT booking.add_capacity_constraint('shop_ticket', '{show_id}', 'shop_show', 'capacity',
    condition => 'public.is_number(note)', constraint_name => 'c');
SELECT n, t.*
FROM (VALUES
    (1, 'INSERT INTO shop_ticket (show_id, note) VALUES (2, ''x''), (2, ''1''), (2, ''5''), (2, ''y'')'),
    (2, 'UPDATE shop_ticket SET note = ''y'' WHERE note = ''x'''),
    (3, 'UPDATE shop_ticket SET note = CASE WHEN note = ''y'' THEN ''1'' ELSE ''y'' END'),
    (4, 'UPDATE shop_ticket SET note = ''7'''),
    (5, 'INSERT INTO shop_ticket (show_id, note) SELECT 1 + g % 2, g || left(''x'', g % 3) FROM generate_series(1, 4) g'),
    (6, 'DELETE FROM shop_ticket')) AS s (n, statement),
    then_pools('c', statement) t
ORDER BY n;
-- Within savepoints that are rolled back, and that are not.
BEGIN;
INSERT INTO shop_ticket (show_id, note) VALUES (2, 'x'), (2, '1'), (2, 'y');
SAVEPOINT a;
INSERT INTO shop_ticket (show_id, note) VALUES (2, 'x'), (2, '2'), (2, 'y');
ROLLBACK TO a;
INSERT INTO shop_ticket (show_id, note) VALUES (2, 'x'), (2, '3'), (2, 'y');
SAVEPOINT b;
SELECT code FROM outcome('INSERT INTO shop_ticket (show_id, note) VALUES (2, ''x''), (2, ''4''), (2, ''5'')');
INSERT INTO shop_ticket (show_id, note) VALUES (2, 'x'), (2, '6'), (2, 'y');
COMMIT;
SELECT pools('c');
-- One that inserts rows of its own and rolls that back, in the middle of a statement.
SELECT booking.drop_capacity_constraint('c');
TRUNCATE shop_ticket;
CREATE FUNCTION insert_and_undo() RETURNS boolean LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    INSERT INTO public.shop_ticket (show_id, note) VALUES (2, 'x'), (2, '9');
    RAISE EXCEPTION 'undone';
EXCEPTION WHEN raise_exception THEN
    RETURN true;
END
$$;
CREATE FUNCTION is_long(text) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS $$
BEGIN
    RETURN CASE WHEN $1 = 'nest' THEN public.insert_and_undo() ELSE length($1) > 0 END;
END
$$;
SELECT booking.add_capacity_constraint('shop_ticket', '{show_id}', 'shop_show', 'capacity',
    condition => 'public.is_long(note) AND (note = ''nest'' OR public.is_number(note))', constraint_name => 'c');
SELECT n, t.code, t.pools
FROM (VALUES
    (1, 'INSERT INTO shop_ticket (show_id, note) VALUES (2, ''x''), (2, ''nest''), (2, ''''), (2, ''1'')'),
    (2, 'INSERT INTO shop_ticket (show_id, note) VALUES (2, ''x''), (2, ''2''), (2, ''3'')'),
    (3, 'DELETE FROM shop_ticket WHERE note = ''1'''),
    (4, 'INSERT INTO shop_ticket (show_id, note) VALUES (2, ''1''), (2, ''x'')'),
    (5, 'DELETE FROM shop_ticket WHERE note = ''nest''')) AS s (n, statement),
    then_pools('c', statement) t
ORDER BY n;
SELECT booking.drop_capacity_constraint('c');
DROP FUNCTION is_long, insert_and_undo;
TRUNCATE shop_ticket;

-- ---- other triggers of the pool table ----

SELECT booking.add_capacity_constraint('shop_ticket', '{show_id}', 'shop_show', 'capacity', constraint_name => 'c');
CREATE FUNCTION nothing() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RETURN NULL;
END
$$;
SELECT n, i.code, i.message, u.code AS update
FROM (VALUES
    (1, 'CREATE TRIGGER w AFTER INSERT ON booking.c FOR EACH STATEMENT WHEN (pg_trigger_depth() < 9) EXECUTE FUNCTION nothing()'),
    -- by their names they are fired before ours
    (2, 'CREATE TRIGGER a AFTER INSERT ON booking.c FOR EACH STATEMENT WHEN (pg_trigger_depth() < 9) EXECUTE FUNCTION nothing()'),
    (3, 'CREATE TRIGGER a AFTER INSERT ON booking.c FOR EACH STATEMENT EXECUTE FUNCTION nothing()'),
    (4, 'CREATE TRIGGER a AFTER INSERT ON booking.c REFERENCING NEW TABLE AS new_rows FOR EACH STATEMENT EXECUTE FUNCTION nothing()'),
    (5, 'CREATE TRIGGER a BEFORE INSERT ON booking.c FOR EACH STATEMENT EXECUTE FUNCTION nothing()'),
    (6, 'CREATE TRIGGER a BEFORE INSERT ON booking.c FOR EACH ROW EXECUTE FUNCTION nothing()'),
    (7, 'CREATE TRIGGER a AFTER INSERT ON booking.c FOR EACH ROW EXECUTE FUNCTION nothing()'),
    (8, 'CREATE TRIGGER w AFTER UPDATE ON booking.c FOR EACH ROW EXECUTE FUNCTION nothing()'),
    (9, 'CREATE TRIGGER w BEFORE TRUNCATE ON booking.c EXECUTE FUNCTION nothing()'),
    (10, 'CREATE CONSTRAINT TRIGGER a AFTER INSERT ON booking.c DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION nothing()'),
    (11, 'CREATE RULE a AS ON INSERT TO booking.c DO ALSO SELECT 1'),
    -- ours twice
    (12, 'CREATE TRIGGER a AFTER INSERT ON booking.c FOR EACH STATEMENT EXECUTE FUNCTION'
         ' booking.capacity_settle('''', ''f'', '''', ''public.shop_ticket'', ''public.shop_show'', '''')'),
    -- a disabled one counts, too
    (13, 'CREATE TRIGGER w AFTER INSERT ON booking.c FOR EACH STATEMENT EXECUTE FUNCTION nothing();'
         ' ALTER TABLE booking.c DISABLE TRIGGER w')) AS s (n, change),
    after_change(change, 'INSERT INTO shop_ticket (show_id) VALUES (1)') i,
    after_change(change, 'UPDATE shop_show SET capacity = 7 WHERE id = 1') u
ORDER BY n;
-- In place of ours another one that has the same arguments.
\set VERBOSITY sqlstate
BEGIN;
DROP TRIGGER _booking_capacity_settle ON booking.c;
CREATE TRIGGER _booking_capacity_settle AFTER INSERT ON booking.c FOR EACH STATEMENT
    EXECUTE FUNCTION nothing('', 'f', '', 'public.shop_ticket', 'public.shop_show', '');
INSERT INTO shop_ticket (show_id) VALUES (1), (1), (1);
COMMIT;
\set VERBOSITY default
SELECT pools('c');

-- ---- rows that were not checked, and savepoints ----

ALTER TABLE booking.c DISABLE TRIGGER _booking_capacity_settle;
BEGIN;
SAVEPOINT a;
SAVEPOINT b;
INSERT INTO shop_ticket (show_id) VALUES (1), (1);
RELEASE b;
SAVEPOINT c;
SELECT 1 / 0;
ROLLBACK TO c;
RELEASE a;
SAVEPOINT d;
INSERT INTO shop_ticket (show_id) VALUES (2);
ROLLBACK TO d;
COMMIT;
-- They are rolled back, so the transaction is good.
BEGIN;
SAVEPOINT a;
SAVEPOINT b;
INSERT INTO shop_ticket (show_id) VALUES (1), (1);
RELEASE b;
ROLLBACK TO a;
COMMIT;
ALTER TABLE booking.c ENABLE TRIGGER _booking_capacity_settle;
SELECT pools('c');
SELECT booking.drop_capacity_constraint('c');
DROP FUNCTION nothing;

-- ---- functions that run while expired rows are ended ----

-- Removes another ticket, moves it, or removes it in a block that is rolled back.
CREATE FUNCTION remove_other() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    CASE substr(OLD.note, 1, 4)
    WHEN 'take' THEN
        DELETE FROM public.shop_ticket WHERE id = substr(OLD.note, 5)::integer;
    WHEN 'move' THEN
        UPDATE public.shop_ticket SET show_id = 4 WHERE id = substr(OLD.note, 5)::integer;
    WHEN 'undo' THEN
        BEGIN
            DELETE FROM public.shop_ticket WHERE id = substr(OLD.note, 5)::integer;
            RAISE EXCEPTION 'undone';
        EXCEPTION WHEN raise_exception THEN
        END;
    ELSE
    END CASE;
    RETURN NULL;
END
$$;
CREATE FUNCTION with_trigger(on_expiry text, trigger_name text)
RETURNS TABLE (n integer, code text, detail text, pools text, live text)
LANGUAGE plpgsql
AS $$
DECLARE
    statement text;
BEGIN
    IF EXISTS (SELECT FROM booking.capacity_constraints) THEN
        PERFORM booking.drop_capacity_constraint('c');
    END IF;
    TRUNCATE shop_ticket;
    PERFORM booking.add_capacity_constraint('public.shop_ticket', '{show_id}', 'public.shop_show', 'capacity',
        condition => 'status = ''paid''', expires_at => 'expires', on_expiry => on_expiry, constraint_name => 'c');
    EXECUTE format('CREATE TRIGGER %I AFTER UPDATE OF status OR DELETE ON shop_ticket FOR EACH ROW'
                   ' EXECUTE FUNCTION remove_other()', trigger_name);
    n := 0;
    FOREACH statement IN ARRAY ARRAY[
        'INSERT INTO shop_ticket (id, show_id, note, expires) VALUES'
        ' (1, 2, ''undo2'', ''2020-01-01''), (2, 2, ''x'', NULL), (3, 2, ''x'', NULL)',
        -- 4 comes for 1; 2 stays
        'INSERT INTO shop_ticket (id, show_id) VALUES (4, 2)',
        'INSERT INTO shop_ticket (id, show_id) VALUES (5, 2)',
        -- 5 comes for 3; the place of 2 comes back, too
        'UPDATE shop_ticket SET expires = ''2020-01-01'', note = ''take2'' WHERE id = 3',
        'INSERT INTO shop_ticket (id, show_id) VALUES (5, 2)',
        'INSERT INTO shop_ticket (id, show_id) VALUES (6, 2)',
        'INSERT INTO shop_ticket (id, show_id) VALUES (7, 2)',
        -- two come for two; 4 is moved away, 6 would have removed 5
        'UPDATE shop_ticket SET expires = ''2020-01-01'', note = ''move4'' WHERE id = 5',
        'UPDATE shop_ticket SET expires = ''2020-01-02'', note = ''undo4'' WHERE id = 6',
        'INSERT INTO shop_ticket (id, show_id) VALUES (8, 2), (9, 2)',
        'INSERT INTO shop_ticket (id, show_id) VALUES (10, 2)',
        -- the trigger of one expired row removes the other one
        'UPDATE shop_ticket SET expires = ''2020-01-01'', note = ''take9'' WHERE id = 8',
        'UPDATE shop_ticket SET expires = ''2020-01-02'' WHERE id = 9',
        'INSERT INTO shop_ticket (id, show_id) VALUES (11, 2), (12, 2)',
        'INSERT INTO shop_ticket (id, show_id) VALUES (13, 2)',
        'DELETE FROM shop_ticket']
    LOOP
        n := n + 1;
        SELECT t.code, t.detail, t.pools INTO code, detail, pools FROM then_pools('c', statement) t;
        live := live(code);
        RETURN NEXT;
    END LOOP;
    EXECUTE format('DROP TRIGGER %I ON shop_ticket', trigger_name);
END
$$;
SET statement_timeout = '10s';
SELECT * FROM with_trigger($$status = 'gone'$$, 'z_last');
SELECT * FROM with_trigger($$status = 'gone'$$, 'a_first');
SELECT * FROM with_trigger('DELETE', 'z_last');
SELECT * FROM with_trigger('DELETE', 'a_first');

-- The same by a function in on_expiry.
CREATE FUNCTION remove_in_on_expiry(other integer, mode text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    DELETE FROM public.shop_ticket t WHERE t.id = other;
    IF mode = 'undo' THEN
        RAISE EXCEPTION 'undone';
    END IF;
    RETURN 'gone';
EXCEPTION WHEN raise_exception THEN
    RETURN 'gone';
END
$$;
SELECT booking.drop_capacity_constraint('c');
SELECT booking.add_capacity_constraint('shop_ticket', '{show_id}', 'shop_show', 'capacity',
    condition => 'status = ''paid''', expires_at => 'expires',
    on_expiry => 'status = public.remove_in_on_expiry(2, note)', constraint_name => 'c');
TRUNCATE shop_ticket;
SELECT n, t.*, live
FROM (VALUES
    (1, 'INSERT INTO shop_ticket (id, show_id, note, expires) VALUES'
        ' (1, 2, ''undo'', ''2020-01-01''), (2, 2, NULL, NULL), (3, 2, NULL, NULL)'),
    (2, 'INSERT INTO shop_ticket (id, show_id) VALUES (4, 2)'),
    (3, 'INSERT INTO shop_ticket (id, show_id) VALUES (5, 2)'),
    (4, 'UPDATE shop_ticket SET expires = ''2020-01-01'', note = ''take'' WHERE id = 3'),
    (5, 'INSERT INTO shop_ticket (id, show_id) VALUES (6, 2)'),
    (6, 'INSERT INTO shop_ticket (id, show_id) VALUES (7, 2)'),
    (7, 'INSERT INTO shop_ticket (id, show_id) VALUES (8, 2)')) AS s (n, statement),
    then_pools('c', statement) t, live(t.code)
ORDER BY n;
SELECT booking.drop_capacity_constraint('c');
DROP FUNCTION with_trigger, remove_in_on_expiry, remove_other;

-- A trigger that keeps some expired rows from an UPDATE: an error, soon.
CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RETURN CASE WHEN OLD.note = 'keep' THEN NULL WHEN OLD.note = 'same' THEN OLD ELSE NEW END;
END
$$;
TRUNCATE shop_ticket;
SELECT booking.add_capacity_constraint('shop_ticket', '{show_id}', 'shop_show', 'capacity',
    condition => 'status = ''paid''', expires_at => 'expires', on_expiry => 'status = ''gone''', constraint_name => 'c');
CREATE TRIGGER keep BEFORE UPDATE OF status ON shop_ticket FOR EACH ROW EXECUTE FUNCTION keep();
INSERT INTO shop_ticket (id, show_id, note, expires) VALUES
    (1, 2, 'keep', '2020-01-01'), (2, 2, 'x', '2020-01-02'), (3, 2, 'x', NULL);
-- 23514, or 55000 because of rows that were not ended
SELECT n, replace(t.code, '55000', '23514') AS code, t.pools, live
FROM (VALUES
    (1, 'INSERT INTO shop_ticket (id, show_id) VALUES (4, 2), (5, 2)'),
    (2, 'UPDATE shop_ticket SET note = ''keep'' WHERE id = 2'),
    (3, 'INSERT INTO shop_ticket (id, show_id) VALUES (4, 2)'),
    (4, 'UPDATE shop_ticket SET note = ''same'' WHERE id = 2'),
    (5, 'INSERT INTO shop_ticket (id, show_id) VALUES (4, 2), (5, 2)'),
    (6, 'UPDATE shop_ticket SET note = ''x'''),
    (7, 'INSERT INTO shop_ticket (id, show_id) VALUES (4, 2), (5, 2)')) AS s (n, statement),
    then_pools('c', statement) t, live(t.code)
ORDER BY n;
RESET statement_timeout;
SELECT booking.drop_capacity_constraint('c');
DROP TRIGGER keep ON shop_ticket;
DROP FUNCTION keep;

-- ---- triggers that change a row before and after it is counted ----

CREATE FUNCTION change_row() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    CASE NEW.note
    WHEN 'cancel' THEN
        UPDATE shop_ticket SET status = 'cancelled' WHERE id = NEW.id;
    WHEN 'remove' THEN
        DELETE FROM shop_ticket WHERE id = NEW.id;
    WHEN 'move' THEN
        UPDATE shop_ticket SET show_id = 1 WHERE id = NEW.id;
    WHEN 'more' THEN
        UPDATE shop_ticket SET quantity = 2 WHERE id = NEW.id;
    ELSE
    END CASE;
    RETURN NULL;
END
$$;
SELECT booking.add_capacity_constraint('shop_ticket', '{show_id}', 'shop_show', 'capacity',
    quantity_column => 'quantity', condition => 'status = ''paid''', constraint_name => 'c');
CREATE FUNCTION with_change(trigger_name text)
RETURNS TABLE (n integer, code text, detail text, pools text)
LANGUAGE plpgsql
AS $$
DECLARE
    statement text;
BEGIN
    TRUNCATE shop_ticket;
    EXECUTE format('CREATE TRIGGER %I AFTER INSERT OR UPDATE OF note ON shop_ticket FOR EACH ROW'
                   ' EXECUTE FUNCTION change_row()', trigger_name);
    n := 0;
    FOREACH statement IN ARRAY ARRAY[
        -- no limit
        'INSERT INTO shop_ticket (id, show_id, note) VALUES (1, 4, ''cancel'')',
        'INSERT INTO shop_ticket (id, show_id, note) SELECT g, 4, ''cancel'' FROM generate_series(51, 60) g',
        'INSERT INTO shop_ticket (id, show_id, note) VALUES (2, 4, ''remove''), (3, 4, NULL)',
        'INSERT INTO shop_ticket (id, show_id, note) VALUES (4, 4, ''move''), (5, 4, ''more'')',
        'UPDATE shop_ticket SET note = ''cancel'', status = ''paid'' WHERE id = 1',
        'DELETE FROM shop_ticket WHERE show_id = 4',
        -- three places
        'INSERT INTO shop_ticket (id, show_id, note) VALUES (10, 2, ''cancel''), (11, 2, NULL)',
        'INSERT INTO shop_ticket (id, show_id, note) VALUES (12, 2, ''more'')',
        'INSERT INTO shop_ticket (id, show_id, note) VALUES (13, 2, ''more'')',
        'INSERT INTO shop_ticket (id, show_id, note) VALUES (14, 2, NULL)',
        -- none is left, and none is needed
        'INSERT INTO shop_ticket (id, show_id, note) VALUES (15, 2, ''cancel'')',
        'UPDATE shop_ticket SET note = ''cancel'', status = ''paid'' WHERE id IN (11, 12)',
        'DELETE FROM shop_ticket',
        -- the largest capacity
        'UPDATE shop_show SET capacity = 2147483647 WHERE id = 3',
        'INSERT INTO shop_ticket (id, show_id, note) VALUES (21, 3, ''cancel''), (22, 3, ''remove'')',
        'UPDATE shop_show SET capacity = 0 WHERE id = 3']
    LOOP
        n := n + 1;
        SELECT t.code, t.detail, t.pools INTO code, detail, pools FROM then_pools('c', statement) t;
        RETURN NEXT;
    END LOOP;
    EXECUTE format('DROP TRIGGER %I ON shop_ticket', trigger_name);
END
$$;
SELECT * FROM with_change('a_first');
SELECT * FROM with_change('z_last');

-- ---- a trigger that gives a place that comes back to the next in line ----

CALL recreate_shop();
SELECT booking.drop_capacity_constraint('c');
SELECT booking.add_capacity_constraint('shop_ticket', '{show_id}', 'shop_show', 'capacity', constraint_name => 'c');
INSERT INTO shop_ticket (id, show_id) VALUES (1, 2), (2, 2), (3, 2);
CREATE FUNCTION next_in_line() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO shop_ticket (id, show_id) VALUES (100, 2);
    RETURN NULL;
END $$;
CREATE TRIGGER a_next_row AFTER DELETE ON shop_ticket FOR EACH ROW EXECUTE FUNCTION next_in_line();
DELETE FROM shop_ticket WHERE id = 1;
DROP TRIGGER a_next_row ON shop_ticket;
CREATE TRIGGER next_all AFTER DELETE ON shop_ticket FOR EACH STATEMENT EXECUTE FUNCTION next_in_line();
DELETE FROM shop_ticket WHERE id = 100;
SELECT id, booking.places_left('c', 2) FROM shop_ticket ORDER BY 1;
SELECT * FROM booking.verify_capacity('c');
DROP TRIGGER next_all ON shop_ticket;
DROP FUNCTION next_in_line;

CALL recreate_shop();
SELECT booking.drop_capacity_constraint('c');
DROP FUNCTION with_change, change_row, live;
