\set key bigint
\ir ../app.sql
\ir ../add_constraint.sql
