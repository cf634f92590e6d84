-- report: employees hired in each quarter of a year, by department and job
-- parameter: year integer 1000 9999
SELECT d.department, j.job,
	SUM(QUARTER(h.datetime) = 1) AS Q1,
	SUM(QUARTER(h.datetime) = 2) AS Q2,
	SUM(QUARTER(h.datetime) = 3) AS Q3,
	SUM(QUARTER(h.datetime) = 4) AS Q4
FROM hired_employees h
JOIN departments d ON d.id = h.department_id
JOIN jobs j ON j.id = h.job_id
WHERE h.datetime >= MAKEDATE(:year, 1) AND h.datetime < MAKEDATE(:year, 1) + INTERVAL 1 YEAR
GROUP BY d.department, j.job, d.id, j.id
ORDER BY d.department, j.job, d.id, j.id;
