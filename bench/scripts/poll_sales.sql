-- The query that a dashboard sends again and again: all events and their state.
SELECT * FROM booking.sales;
