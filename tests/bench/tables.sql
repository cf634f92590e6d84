-- Tables of the shape of the well-known employees sample, and one of wide mixed rows; the same rows
-- each time.  tables.bash puts numbers for EMPLOYEES and WIDE, and runs it in an empty database.
SET foreign_key_checks = 0;

CREATE TABLE departments (
	dept_no CHAR(4) NOT NULL,
	dept_name VARCHAR(40) NOT NULL,
	PRIMARY KEY (dept_no),
	UNIQUE KEY dept_name (dept_name)
);
INSERT INTO departments VALUES ('d001', 'Marketing'), ('d002', 'Finance'), ('d003', 'Human Resources'),
	('d004', 'Production'), ('d005', 'Development'), ('d006', 'Quality Management'), ('d007', 'Sales'),
	('d008', 'Research'), ('d009', 'Customer Service');

CREATE TABLE employees (
	emp_no INT NOT NULL,
	birth_date DATE NOT NULL,
	first_name VARCHAR(14) NOT NULL,
	last_name VARCHAR(16) NOT NULL,
	gender ENUM('M', 'F') NOT NULL,
	hire_date DATE NOT NULL,
	PRIMARY KEY (emp_no)
);
INSERT INTO employees
SELECT seq + 10000,
	DATE '1952-02-01' + INTERVAL CRC32(CONCAT('b', seq)) % 4750 DAY,
	CONCAT(ELT(1 + CRC32(CONCAT('f', seq)) % 12, 'Ge', 'Be', 'Par', 'Chi', 'Kyo', 'Ani', 'Tze', 'Sal', 'Su',
		'Duan', 'Ma', 'Pa'),
		ELT(1 + CRC32(CONCAT('g', seq)) % 10, 'orgi', 'zalel', 'to', 'rstian', 'ichi', 'neke', 'tan', 'niya',
		'mant', 'gkaew'),
		ELT(1 + CRC32(CONCAT('h', seq)) % 5, '', 'a', 'o', 'us', 'in')),
	CONCAT(ELT(1 + CRC32(CONCAT('k', seq)) % 16, 'Fac', 'Sim', 'Bam', 'Kob', 'Mal', 'Pre', 'Ziel', 'Kal', 'Peac',
		'Pive', 'Sluis', 'Bridg', 'Tera', 'Gen', 'Nooteb', 'Cap'),
		ELT(1 + CRC32(CONCAT('l', seq)) % 12, 'ello', 'mel', 'ford', 'lick', 'iniak', 'usig', 'inski', 'loufi',
		'teau', 'land', 'kki', 'in'),
		ELT(1 + CRC32(CONCAT('m', seq)) % 8, '', 'a', 'i', 'son', 'er', 'ez', 's', 'y')),
	IF(CRC32(CONCAT('s', seq)) % 5 < 3, 'M', 'F'),
	DATE '1985-01-01' + INTERVAL CRC32(CONCAT('i', seq)) % 5500 DAY
FROM seq_1_to_EMPLOYEES;

-- 9.5 of each employee, on average.
CREATE TABLE salaries (
	emp_no INT NOT NULL,
	salary INT NOT NULL,
	from_date DATE NOT NULL,
	to_date DATE NOT NULL,
	PRIMARY KEY (emp_no, from_date),
	CONSTRAINT salaries_of FOREIGN KEY (emp_no) REFERENCES employees (emp_no) ON DELETE CASCADE
);
INSERT INTO salaries
SELECT e.emp_no,
	39000 + CRC32(CONCAT('v', e.emp_no)) % 40000 + y.seq * (500 + CRC32(CONCAT(e.emp_no, y.seq)) % 2500),
	e.hire_date + INTERVAL y.seq * 365 DAY,
	IF(y.seq = CRC32(CONCAT('y', e.emp_no)) % 18, '9999-01-01', e.hire_date + INTERVAL (y.seq + 1) * 365 DAY)
FROM employees e JOIN seq_0_to_17 y ON y.seq <= CRC32(CONCAT('y', e.emp_no)) % 18;

CREATE TABLE titles (
	emp_no INT NOT NULL,
	title VARCHAR(50) NOT NULL,
	from_date DATE NOT NULL,
	to_date DATE,
	PRIMARY KEY (emp_no, title, from_date),
	CONSTRAINT titles_of FOREIGN KEY (emp_no) REFERENCES employees (emp_no) ON DELETE CASCADE
);
INSERT INTO titles
SELECT e.emp_no,
	ELT(1 + (CRC32(CONCAT('t', e.emp_no)) + y.seq) % 7, 'Senior Engineer', 'Staff', 'Engineer', 'Senior Staff',
		'Assistant Engineer', 'Technique Leader', 'Manager'),
	e.hire_date + INTERVAL y.seq * 1500 DAY,
	IF(y.seq = 0, NULL, '9999-01-01')
FROM employees e JOIN seq_0_to_1 y ON y.seq <= CRC32(CONCAT('u', e.emp_no)) % 2;

CREATE TABLE dept_emp (
	emp_no INT NOT NULL,
	dept_no CHAR(4) NOT NULL,
	from_date DATE NOT NULL,
	to_date DATE NOT NULL,
	PRIMARY KEY (emp_no, dept_no),
	KEY dept_no (dept_no),
	CONSTRAINT works FOREIGN KEY (emp_no) REFERENCES employees (emp_no) ON DELETE CASCADE,
	CONSTRAINT works_in FOREIGN KEY (dept_no) REFERENCES departments (dept_no) ON DELETE CASCADE
);
INSERT INTO dept_emp
SELECT e.emp_no,
	CONCAT('d00', 1 + (CRC32(CONCAT('d', e.emp_no)) + y.seq) % 9),
	e.hire_date + INTERVAL y.seq * 1000 DAY,
	'9999-01-01'
FROM employees e JOIN seq_0_to_1 y ON y.seq = 0 OR CRC32(CONCAT('x', e.emp_no)) % 10 = 0;

CREATE TABLE wide (
	id BIGINT UNSIGNED NOT NULL AUTO_INCREMENT,
	a INT NOT NULL,
	b INT UNSIGNED,
	c DECIMAL(12, 4) NOT NULL,
	d DECIMAL(30, 10),
	e VARCHAR(60) NOT NULL,
	f VARCHAR(200),
	g TEXT NOT NULL,
	h DATETIME(6) NOT NULL,
	i TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP,
	j JSON,
	k BLOB,
	l ENUM('new', 'open', 'shipped', 'returned') NOT NULL,
	m DOUBLE NOT NULL,
	n DATE,
	o TINYINT NOT NULL,
	PRIMARY KEY (id),
	KEY e (e),
	KEY h (h)
);
-- Every other number, so that there is room for rows in between.
INSERT INTO wide
SELECT 2 * seq,
	CAST(CRC32(CONCAT('a', seq)) AS SIGNED) - 2147483647,
	IF(seq % 3 = 0, NULL, CRC32(CONCAT('b', seq))),
	CRC32(CONCAT('c', seq)) / 1000,
	IF(seq % 4 = 0, NULL, CRC32(CONCAT('d', seq)) / 77777),
	CONCAT('user', CRC32(CONCAT('e', seq)) % 100000, '@', ELT(1 + seq % 5, 'example.org', 'example.com',
		'mail.example.net', 'post.example.de', 'x.example.io')),
	IF(seq % 5 = 0, NULL, CONCAT(ELT(1 + CRC32(seq) % 8, 'Große Straße', 'Rue de la Paix', 'Via Appia',
		'Main Street', 'Calle Mayor', 'Высокая улица', 'Ringstraße', 'High Road'), ' ', seq % 300)),
	REPEAT(CONCAT(ELT(1 + CRC32(CONCAT('g', seq)) % 6, 'the parcel was left at the door; ',
		'customer called twice; ', 'no answer\n', 'paid by card, ', 'refund issued and confirmed; ',
		'a\ttab and a \\ '), CRC32(CONCAT('q', seq)), ' '), 1 + CRC32(CONCAT('r', seq)) % 6),
	TIMESTAMP '2020-01-01 00:00:00' + INTERVAL CRC32(CONCAT('h', seq)) * 37 MICROSECOND + INTERVAL seq SECOND,
	FROM_UNIXTIME(1577836800 + seq * 60),
	IF(seq % 7 = 0, NULL, CONCAT('{"id": ', seq, ', "tags": ["', ELT(1 + seq % 3, 'red', 'green', 'blue'),
		'", "x"], "weight": ', CRC32(seq) / 100, '}')),
	IF(seq % 6 = 0, NULL, UNHEX(SHA2(seq, 256))),
	1 + CRC32(CONCAT('l', seq)) % 4,
	CRC32(CONCAT('m', seq)) / 12345,
	IF(seq % 9 = 0, NULL, DATE '2000-01-01' + INTERVAL seq % 8000 DAY),
	seq % 100
FROM seq_1_to_WIDE;
