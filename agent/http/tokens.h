/*
 * Tokens that open the agent to TCP clients, in STATE/tokens.json.
 *
 * A token is "hf_" and 43 characters that carry 256 random bits; the file holds only its
 * SHA-256, with an id, a name, a role and perhaps an expiry.  (With 256 random bits nothing
 * slower than SHA-256 is needed: there is nothing to guess.)
 * The file is replaced as a whole under a lock (STATE/tokens.lock), so `holdfastd token` may
 * change it while the agent runs; the agent sees the change at its next request.
 * A file that cannot be read or understood opens nothing: every verify fails.
 * Threads: any.
 */
#ifndef HOLDFAST_AGENT_HTTP_TOKENS_H
#define HOLDFAST_AGENT_HTTP_TOKENS_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "shared/error.h"

struct tokens;

/* A higher role may do all that a lower one may. */
enum role {
	ROLE_NONE,    /* not identified */
	ROLE_READ,    /* lists, logs, statistics; not the contents of files */
	ROLE_OPERATE, /* start, pause and cancel backups and checks, too */
	ROLE_ADMIN,   /* restore, download, prune and delete, too */
	ROLE_COUNT
};

const char *role_word(enum role role); /* "none", "read", "operate", "admin" */
/* "read", "operate" or "admin". */
int role_parse(const char *word, enum role *ret, struct error *err);

#define TOKEN_TEXT_SIZE 47 /* "hf_", 43 characters of base64url, NUL */
#define TOKEN_ID_TEXT_SIZE 9
#define TOKEN_NAME_MAX 64

/* Who a token belongs to. */
struct token_holder {
	char id[TOKEN_ID_TEXT_SIZE];
	char name[TOKEN_NAME_MAX + 1];
	enum role role;
};

/*
 * Open the store of a state folder (which must exist).  Where there is none yet, one is made
 * with a first token (role admin, name "first") whose text goes to STATE/token, mode 0600.
 *   ret_made_first   set if that happened, so that the caller can tell the operator; may be NULL
 */
int tokens_open(const char *state, struct tokens **ret, bool *ret_made_first, struct error *err);
void tokens_close(struct tokens *tokens);

/*
 * Make a token.  The text is in ret_text only: it cannot be shown again.
 *   name        1..64 printable characters; need not be unique
 *   expires_s   seconds from now; 0: never
 */
int tokens_add(struct tokens *tokens, const char *name, enum role role, int64_t expires_s,
    char ret_text[TOKEN_TEXT_SIZE], char ret_id[TOKEN_ID_TEXT_SIZE], struct error *err);
/* By id, or by a name that only one token has: ERROR_NOT_FOUND, ERROR_AMBIGUOUS. */
int tokens_revoke(struct tokens *tokens, const char *id_or_name, struct error *err);
/* [{"id", "name", "role", "created", "expires": text or null, "expired": bool}] */
int tokens_list(struct tokens *tokens, json_t **ret, struct error *err);

/*
 * Who holds this token: 1 and the holder, 0 if nobody does or it has expired, -1 if the store
 * cannot be read.  Takes the same time wherever a wrong token differs.
 */
int tokens_verify(struct tokens *tokens, const char *text, size_t len, struct token_holder *ret,
    struct error *err);

#endif
