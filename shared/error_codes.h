/*
 * Every error code once: name, word in JSON and in the problem "type", HTTP status,
 * exit status of a command, title.  Enum, problem documents, exit statuses and the
 * tests are made from this list.  Codes are only ever added at the end.
 */
/* clang-format off */
#define ERROR_CODES(_) \
	_(NONE,            "none",              200, 0, "no error") \
	_(INTERNAL,        "internal",          500, 1, "internal error") \
	_(USAGE,           "usage",             400, 2, "wrong usage") \
	_(BAD_REQUEST,     "bad-request",       400, 2, "bad request") \
	_(MALFORMED_HTTP,  "malformed-http",    400, 2, "malformed or ambiguous HTTP request") \
	_(UNAUTHORIZED,    "unauthorized",      401, 1, "a valid token is needed") \
	_(FORBIDDEN,       "forbidden",         403, 1, "not allowed") \
	_(NOT_FOUND,       "not-found",         404, 1, "not found") \
	_(BAD_METHOD,      "method-not-allowed",405, 2, "method not allowed") \
	_(NOT_ACCEPTABLE,  "not-acceptable",    406, 2, "no such representation") \
	_(REQUEST_TIMEOUT, "request-timeout",   408, 1, "the request took too long to arrive") \
	_(CONFLICT,        "conflict",          409, 1, "conflict with the present state") \
	_(EXISTS,          "exists",            409, 1, "exists already") \
	_(AMBIGUOUS,       "ambiguous",         409, 1, "more than one thing has that name") \
	_(TOO_LARGE,       "too-large",         413, 2, "too large") \
	_(BAD_MEDIA_TYPE,  "bad-media-type",    415, 2, "media type not supported") \
	_(BAD_RANGE,       "bad-range",         416, 2, "range not satisfiable") \
	_(TOO_MANY,        "too-many-requests", 429, 1, "too many requests") \
	_(HEADER_TOO_LARGE,"header-too-large",  431, 2, "request header too large") \
	_(IO,              "io",                500, 1, "input or output failed") \
	_(CORRUPT,         "corrupt",           500, 1, "stored data is damaged") \
	_(WRONG_KEY,       "wrong-key",         500, 1, "the passphrase does not open the repository") \
	_(CLAIMED,         "claimed",           409, 1, "claimed by somebody else") \
	_(CLAIM_LOST,      "claim-lost",        500, 1, "the claim on the repository was lost") \
	_(CANCELLED,       "cancelled",         409, 1, "cancelled") \
	_(PERMISSION,      "permission",        500, 1, "the system refused access") \
	_(CONFIG,          "config",            500, 2, "the configuration is wrong") \
	_(UNSUPPORTED,     "unsupported",       501, 1, "not supported") \
	_(UNAVAILABLE,     "unavailable",       503, 1, "not available now") \
	_(NO_SPACE,        "no-space",          507, 1, "no space left") \
	_(DATABASE,        "database",          502, 1, "the database refused")
/* clang-format on */
