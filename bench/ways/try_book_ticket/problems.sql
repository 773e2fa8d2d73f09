\ir ../booking_problems.sql
