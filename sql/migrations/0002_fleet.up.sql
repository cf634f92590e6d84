-- What agents tell of each action.  A row that somebody else inserts has no agent, journal and
-- sequence.  A journal is one agent's file of rows: a new one begins when that was lost, and
-- its sequence begins anew.  An agent that gets another name keeps its journal.
ALTER TABLE log
	ADD COLUMN IF NOT EXISTS agent VARCHAR(255) COLLATE utf8mb4_bin NOT NULL DEFAULT '',
	ADD COLUMN IF NOT EXISTS journal CHAR(32) CHARACTER SET ascii COLLATE ascii_bin,
	ADD COLUMN IF NOT EXISTS sequence BIGINT UNSIGNED,
	ADD COLUMN IF NOT EXISTS command TEXT NOT NULL DEFAULT '',
	ADD COLUMN IF NOT EXISTS outcome VARCHAR(16),
	ADD COLUMN IF NOT EXISTS run VARCHAR(64),
	ADD COLUMN IF NOT EXISTS snapshot VARCHAR(64),
	ADD COLUMN IF NOT EXISTS origin TEXT,
	ADD COLUMN IF NOT EXISTS message TEXT,
	ADD COLUMN IF NOT EXISTS duration_ms BIGINT UNSIGNED NOT NULL DEFAULT 0,
	ADD COLUMN IF NOT EXISTS files BIGINT UNSIGNED NOT NULL DEFAULT 0,
	ADD COLUMN IF NOT EXISTS bytes BIGINT UNSIGNED NOT NULL DEFAULT 0,
	ADD COLUMN IF NOT EXISTS stored_bytes BIGINT UNSIGNED NOT NULL DEFAULT 0,
	ADD UNIQUE KEY IF NOT EXISTS log_sequence (journal, sequence),
	ADD KEY IF NOT EXISTS log_date (date),
	ADD KEY IF NOT EXISTS log_agent (agent, date),
	ADD KEY IF NOT EXISTS log_action (action, date);

-- How far each journal's rows are here.  Written in the transaction of the rows.
CREATE TABLE IF NOT EXISTS log_agents (
	journal  CHAR(32) CHARACTER SET ascii COLLATE ascii_bin NOT NULL PRIMARY KEY,
	agent    VARCHAR(255) COLLATE utf8mb4_bin NOT NULL,
	sequence BIGINT UNSIGNED NOT NULL,
	seen     DATETIME(3) NOT NULL,
	KEY log_agents_agent (agent)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci;

-- The sums of each day (UTC).  They stay when the retention takes the rows.
CREATE TABLE IF NOT EXISTS log_daily (
	day          DATE NOT NULL,
	agent        VARCHAR(255) NOT NULL,
	action       VARCHAR(255) NOT NULL,
	status       VARCHAR(16) NOT NULL,
	actions      BIGINT UNSIGNED NOT NULL,
	files        BIGINT UNSIGNED NOT NULL,
	bytes        BIGINT UNSIGNED NOT NULL,
	stored_bytes BIGINT UNSIGNED NOT NULL,
	duration_ms  BIGINT UNSIGNED NOT NULL,
	PRIMARY KEY (day, agent, action, status)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4 COLLATE utf8mb4_bin;

-- Nobody adds a row between the trigger and the sums of the rows that were here before it.
-- An agent sums its batch up by itself and says so, which is many times faster.
LOCK TABLES log WRITE, log_daily WRITE;

DELIMITER //
CREATE OR REPLACE TRIGGER log_added AFTER INSERT ON log FOR EACH ROW
BEGIN
	IF @holdfast_sums_itself IS NULL THEN
		INSERT INTO log_daily
		VALUES (DATE(new.date), new.agent, new.action, new.status, 1, new.files, new.bytes,
			new.stored_bytes, new.duration_ms)
		ON DUPLICATE KEY UPDATE actions = actions + 1, files = files + VALUE(files),
			bytes = bytes + VALUE(bytes), stored_bytes = stored_bytes + VALUE(stored_bytes),
			duration_ms = duration_ms + VALUE(duration_ms);
	END IF;
END//
DELIMITER ;

INSERT IGNORE INTO log_daily
SELECT DATE(date), agent, action, status, COUNT(*), SUM(files), SUM(bytes), SUM(stored_bytes),
	SUM(duration_ms)
FROM log
GROUP BY DATE(date), agent, BINARY action, BINARY status;

UNLOCK TABLES;
