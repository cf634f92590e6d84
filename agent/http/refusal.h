/*
 * A complete HTTP answer as text, for the moments in which the library lets us send none: the
 * deadline has passed, the body goes on and on.
 */
#ifndef HOLDFAST_AGENT_HTTP_REFUSAL_H
#define HOLDFAST_AGENT_HTTP_REFUSAL_H

#include "shared/error.h"

#define REFUSAL_TEXT_SIZE 2048

/* Status line, header and problem document; "Connection: close". */
void refusal_text(const struct error *err, char out[REFUSAL_TEXT_SIZE]);

#endif
