CREATE TABLE hired_employees (
	id            INT NOT NULL PRIMARY KEY,
	name          VARCHAR(255) NOT NULL,
	datetime      DATETIME NOT NULL,
	department_id INT NOT NULL,
	job_id        INT NOT NULL,
	KEY hired_employees_datetime (datetime),
	CONSTRAINT hired_employees_department FOREIGN KEY (department_id) REFERENCES departments (id),
	CONSTRAINT hired_employees_job FOREIGN KEY (job_id) REFERENCES jobs (id)
) ENGINE = InnoDB DEFAULT CHARACTER SET utf8mb4;
