\ir ../shop_problems.sql
