-- What a dashboard asks for again and again: all events, each as it stands.
SELECT * FROM booking.sales;
