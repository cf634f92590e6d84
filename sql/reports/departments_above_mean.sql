-- report: departments that hired more than the mean of all departments in a year, most first
-- parameter: year integer 1000 9999
-- The mean counts every department, those that hired nobody too.
SELECT d.id, d.department, COUNT(*) AS hired
FROM hired_employees h
JOIN departments d ON d.id = h.department_id
WHERE h.datetime >= MAKEDATE(:year, 1) AND h.datetime < MAKEDATE(:year, 1) + INTERVAL 1 YEAR
GROUP BY d.id, d.department
HAVING COUNT(*) > (
	SELECT COUNT(*)
	FROM hired_employees
	WHERE datetime >= MAKEDATE(:year, 1) AND datetime < MAKEDATE(:year, 1) + INTERVAL 1 YEAR
) / (SELECT COUNT(*) FROM departments)
ORDER BY hired DESC, d.department, d.id;
