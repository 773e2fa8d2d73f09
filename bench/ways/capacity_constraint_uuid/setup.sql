\set key uuid
\ir ../app.sql
\ir ../add_constraint.sql
