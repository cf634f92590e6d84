/*
 * Which paths a request may reach: the settings `allow` and `restore`, applied to where a path
 * really leads, so that a symlink opens nothing.
 */
#ifndef HOLDFAST_AGENT_JOBS_POLICY_H
#define HOLDFAST_AGENT_JOBS_POLICY_H

#include <stdbool.h>

#include "agent/config.h"
#include "shared/error.h"

enum policy_rights {
	POLICY_REMOTE, /* what the settings allow; folders only */
	POLICY_LOCAL   /* a command of somebody at this machine: what the system allows */
};

/*
 * Resolve a path to back up; caller frees.  Taken as it is; if nothing is there and it holds
 * \xNN escapes, they are decoded.
 * ERROR_BAD_REQUEST empty, relative, or no folder; ERROR_NOT_FOUND; ERROR_FORBIDDEN outside the
 * allowed folders, also when nothing is there; ERROR_PERMISSION.
 */
int policy_source(const struct config *config, enum policy_rights rights, const char *path,
    char **ret, struct error *err);

/*
 * Resolve a folder to restore into, which need not exist yet; caller frees.  Errors as above;
 * also ERROR_FORBIDDEN within the repository or the agent's state.
 */
int policy_target(const struct config *config, enum policy_rights rights, const char *path,
    char **ret, struct error *err);

#endif
