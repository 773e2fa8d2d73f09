CREATE FUNCTION settle_inventory() RETURNS void LANGUAGE c AS 'x', 'y';
