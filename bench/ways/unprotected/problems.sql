\ir ../app_problems.sql
