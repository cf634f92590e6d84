/*
 * What the files of shared/mariadb share.
 */
#ifndef HOLDFAST_SHARED_MARIADB_INTERNAL_H
#define HOLDFAST_SHARED_MARIADB_INTERNAL_H

#include "shared/mariadb.h"

struct mariadb {
	MYSQL *mysql;
	char *host; /* as shown */
	/*
	 * Our own descriptor of the same socket: the library may close its own at any failure, and
	 * a number that was closed may be another file's by the time somebody interrupts.
	 */
	int socket;
};

/* Prepare, bind and start a statement. */
int mariadb_start(struct mariadb *db, const char *sql, const struct mariadb_param *values,
    size_t value_count, MYSQL_STMT **ret, struct error *err);

#endif
