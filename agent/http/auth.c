#include "agent/http/auth.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "agent/http/connections.h"
#include "agent/http/tokens.h"

static void
peer_text(const struct peer *peer, char *out, size_t size)
{
	if (peer->local)
		snprintf(out, size, "unix uid:%u", (unsigned)peer->uid);
	else
		snprintf(out, size, "%s", peer->address);
}

static int
by_token(struct request *request, const char *field, struct error *err)
{
	struct token_holder holder;
	size_t used;
	int rc;

	if (strncasecmp(field, "Bearer ", 7) != 0) {
		error_set(err, ERROR_UNAUTHORIZED, "the Authorization is no bearer token");
		return error_hint(err, "send 'Authorization: Bearer TOKEN'");
	}
	field += 7;
	field += strspn(field, " ");
	rc = tokens_verify(request->services->tokens, field, strlen(field), &holder, err);
	if (rc < 0) {
		err->code = ERROR_UNAVAILABLE;
		return error_prefix(err, "tokens cannot be checked: ");
	}
	if (rc == 0) {
		error_set(err, ERROR_UNAUTHORIZED, "the token is unknown, revoked or expired");
		return error_hint(err, "make a new one with 'holdfastd token add'");
	}
	request->role = holder.role;
	used = strlen(request->origin);
	snprintf(request->origin + used, sizeof(request->origin) - used, " token:%s", holder.name);
	return 0;
}

int
auth_identify(struct request *request, struct error *err)
{
	const struct peer *peer = connection_peer(request->connection);
	const char *field = request->fields[REQUEST_AUTHORIZATION];

	request->role = ROLE_NONE;
	peer_text(peer, request->origin, sizeof(request->origin));
	if (field != NULL)
		return by_token(request, field, err);
	if (peer->local && (peer->uid == 0 || peer->uid == geteuid())) {
		request->role = ROLE_ADMIN;
		return 0;
	}
	error_set(err, ERROR_UNAUTHORIZED, "there is no token");
	return error_hint(err, "send 'Authorization: Bearer TOKEN'; the first token is in the file "
	    "'token' of the agent's state folder");
}

int
auth_require(const struct request *request, enum role role, struct error *err)
{
	if (request->role >= role)
		return 0;
	error_set(err, ERROR_FORBIDDEN, "this needs the role '%s', the token has '%s'",
	    role_word(role), role_word(request->role));
	return error_hint(err, "use a token with a higher role; see 'holdfastd token list'");
}
