-- meanwhile
COMMENT ON TABLE booking.event IS 'whoever has it';
INSERT INTO t VALUES ('nobody');    -- fine: data
DO $$ BEGIN
    -- can be had
    RAISE EXCEPTION 'in vain';
END $$;
