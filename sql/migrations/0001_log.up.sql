-- The log's five oldest columns.  A table that is there already, made by the program that
-- holdfast descends from, stays as it is: the next migration adds to it.
CREATE TABLE IF NOT EXISTS log (
	id        BIGINT UNSIGNED NOT NULL AUTO_INCREMENT PRIMARY KEY,
	date      DATETIME(3) NOT NULL DEFAULT (UTC_TIMESTAMP(3)),
	action    VARCHAR(255) NOT NULL,
	parameter TEXT NOT NULL DEFAULT '',
	status    VARCHAR(16) NOT NULL
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci;
