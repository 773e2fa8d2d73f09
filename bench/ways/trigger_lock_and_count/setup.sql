\set key bigint
\ir ../app.sql
-- The usual answer to "limit the number of rows per group".
CREATE FUNCTION check_places() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    places integer;
BEGIN
    SELECT capacity INTO places FROM shop_show WHERE id = NEW.show_id FOR UPDATE;
    IF (SELECT count(*) FROM shop_ticket WHERE show_id = NEW.show_id AND status <> 'cancelled') >= places THEN
        RAISE EXCEPTION 'show % is sold out', NEW.show_id;
    END IF;
    RETURN NEW;
END $$;

CREATE TRIGGER check_places BEFORE INSERT ON shop_ticket FOR EACH ROW EXECUTE FUNCTION check_places();

VACUUM (ANALYZE) shop_show, shop_ticket;
