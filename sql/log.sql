-- The central log's database and tables, made by hand:
--
--	cd sql && mariadb <log.sql
--
-- The agents make them themselves when they first reach the server; this is for where somebody
-- else has to.  What is there already stays.  The agents' user needs, on this database: SELECT,
-- INSERT, UPDATE, DELETE, and CREATE, ALTER, INDEX, DROP, TRIGGER for the versions to come.
CREATE DATABASE IF NOT EXISTS holdfast CHARACTER SET utf8mb4;
USE holdfast;
source migrations/0001_log.up.sql
source migrations/0002_fleet.up.sql
