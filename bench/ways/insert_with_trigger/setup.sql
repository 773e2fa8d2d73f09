\ir ../booking.sql
