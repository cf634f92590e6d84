/*
 * Who sends a request, and what they may do.
 */
#ifndef HOLDFAST_AGENT_HTTP_AUTH_H
#define HOLDFAST_AGENT_HTTP_AUTH_H

#include "agent/http/request.h"
#include "shared/error.h"

/*
 * Find out the role of a request's sender, and its origin for the log.  Over a unix socket root
 * and the agent's own user are admin; everybody else needs a token.  A wrong token is refused
 * even where none would be needed.
 * ERROR_UNAUTHORIZED; ERROR_UNAVAILABLE if the tokens cannot be read.
 */
int auth_identify(struct request *request, struct error *err);
/* ERROR_FORBIDDEN unless the sender has this role. */
int auth_require(const struct request *request, enum role role, struct error *err);

#endif
