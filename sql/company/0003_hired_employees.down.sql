DROP TABLE hired_employees;
