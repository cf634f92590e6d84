#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/http/strict.h"
#include "shared/mem.h"
#include "tests/lib/head_split.h"

static int
check(const char *text, size_t len, struct request_framing *framing, struct error *err)
{
	struct split_head split;
	int rc;

	assert_true(head_split(text, len, &split));
	rc = strict_check(&split.head, framing, err);
	head_split_done(&split);
	return rc;
}

static void
assert_taken(const char *text)
{
	struct request_framing framing;
	struct error err = ERROR_INIT;

	if (check(text, strlen(text), &framing, &err) != 0)
		fail_msg("refused: %s\n%s", err.message, text);
}

static void
assert_refused_len(const char *text, size_t len, const char *why)
{
	struct request_framing framing;
	struct error err = ERROR_INIT;

	assert_int_equal(check(text, len, &framing, &err), -1);
	assert_int_equal(err.code, ERROR_MALFORMED_HTTP);
	assert_string_equal(err.message, why);
}

#define ASSERT_REFUSED(literal, why) assert_refused_len(literal, sizeof(literal) - 1, why)

#define GET "GET /x HTTP/1.1\r\n"
#define HOST "Host: h\r\n"

static void
ordinary_requests_are_taken(void **state)
{
	(void)state;
	assert_taken(GET HOST "\r\n");
	assert_taken("GET /x?a=b&c=%20d HTTP/1.1\r\n" HOST
	    "Accept:*/*\r\nX:\t spaced \r\nEmpty:\r\n\r\n");
	assert_taken("POST /backup HTTP/1.1\r\n" HOST "Content-Length: 5\r\n\r\n");
	assert_taken("POST /backup HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n");
	assert_taken("GET /x HTTP/1.0\r\n\r\n");
	assert_taken(GET "Host: [::1]:7420\r\n\r\n");
	assert_taken(GET HOST "X: \xc3\xa9\r\n\r\n");
}

static void
the_framing_is_told(void **state)
{
	static const char with_length[] =
	    "POST /x HTTP/1.1\r\n" HOST "Content-Length: 12\r\nExpect: 100-continue\r\n\r\n";
	static const char chunked[] =
	    "POST /x HTTP/1.1\r\n" HOST "Transfer-Encoding: Chunked\r\n\r\n";
	struct request_framing framing;
	struct error err = ERROR_INIT;

	(void)state;
	assert_int_equal(check(with_length, strlen(with_length), &framing, &err), 0);
	assert_true(framing.has_length);
	assert_int_equal(framing.length, 12);
	assert_true(framing.expects_continue);
	assert_false(framing.chunked);
	assert_int_equal(check(chunked, strlen(chunked), &framing, &err), 0);
	assert_true(framing.chunked);
	assert_false(framing.has_length);
}

static void
two_meanings_of_the_body_are_refused(void **state)
{
	(void)state;
	ASSERT_REFUSED(GET HOST "Content-Length: 5\r\nContent-Length: 5\r\n\r\n",
	    "there is more than one Content-Length");
	ASSERT_REFUSED(GET HOST "Content-Length: 5\r\ncontent-length: 6\r\n\r\n",
	    "there is more than one Content-Length");
	ASSERT_REFUSED(GET HOST "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
	    "there are both Content-Length and Transfer-Encoding");
	ASSERT_REFUSED(GET HOST "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
	    "there is more than one Transfer-Encoding");
	ASSERT_REFUSED("GET /x HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n",
	    "HTTP/1.0 has no Transfer-Encoding");
}

static void
lengths_are_digits_only(void **state)
{
	static const char *const lengths[] = { "", "+5", "-5", "5,5", "5 5", "0x5", "5a",
		"1234567890123456789" };
	char text[128];
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_LEN(lengths); i++) {
		snprintf(text, sizeof(text), GET HOST "Content-Length: %s\r\n\r\n", lengths[i]);
		assert_refused_len(text, strlen(text), "Content-Length is not a number of bytes");
	}
}

static void
encodings_other_than_chunked_are_refused(void **state)
{
	static const char *const encodings[] = { "", "gzip", "gzip, chunked", "chunked, chunked",
		"xchunked", "chunked;q=1", "identity", "chunked\x0b" };
	struct request_framing framing;
	struct error err;
	char text[128];
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_LEN(encodings); i++) {
		error_clear(&err);
		snprintf(text, sizeof(text), GET HOST "Transfer-Encoding: %s\r\n\r\n",
		    encodings[i]);
		assert_int_equal(check(text, strlen(text), &framing, &err), -1);
		assert_int_equal(err.code, ERROR_MALFORMED_HTTP);
	}
}

static void
one_host_is_needed(void **state)
{
	(void)state;
	ASSERT_REFUSED(GET "\r\n", "there is no Host");
	ASSERT_REFUSED(GET HOST HOST "\r\n", "there is more than one Host");
	ASSERT_REFUSED("GET /x HTTP/1.0\r\n" HOST HOST "\r\n", "there is more than one Host");
	ASSERT_REFUSED(GET "Host: a/b\r\n\r\n", "Host is not the name of a host");
	ASSERT_REFUSED(GET "Host: a b\r\n\r\n", "Host is not the name of a host");
}

static void
names_are_tokens(void **state)
{
	static const char why[] = "a header's name is not a token (a space before the colon?)";

	(void)state;
	ASSERT_REFUSED(GET HOST "Content-Length : 5\r\n\r\n", why);
	ASSERT_REFUSED(GET HOST "X\t: 5\r\n\r\n", why);
	ASSERT_REFUSED(GET HOST "X(y): 5\r\n\r\n", why);
	ASSERT_REFUSED(GET HOST "X\x80: 5\r\n\r\n", why);
	ASSERT_REFUSED(GET HOST ": 5\r\n\r\n", why);
	ASSERT_REFUSED(GET " X: 5\r\n" HOST "\r\n", why);
}

static void
folded_lines_are_refused_wherever_they_are(void **state)
{
	static const char why[] = "a header line is folded";

	(void)state;
	ASSERT_REFUSED(GET HOST "X: a\r\n b\r\nY: c\r\n\r\n", why);
	ASSERT_REFUSED(GET HOST "X: a\r\n\tb\r\n\r\n", why);
	ASSERT_REFUSED(GET "Host:\r\n h\r\n\r\n", why);
	ASSERT_REFUSED(GET HOST "X: a\r\n b\r\n c\r\n\r\n", why);
}

static void
lines_end_in_cr_lf_only(void **state)
{
	(void)state;
	ASSERT_REFUSED("GET /x HTTP/1.1\n" HOST "\r\n",
	    "a header line holds a NUL, is folded, or does not end in CR LF");
	ASSERT_REFUSED(GET "Host: h\nX: y\r\n\r\n",
	    "a header line holds a NUL, is folded, or does not end in CR LF");
	ASSERT_REFUSED(GET "Host: h\n\r\n",
	    "the header holds a NUL, is folded, or does not end in CR LF");
	ASSERT_REFUSED(GET "Host: h\r\n\n",
	    "the header holds a NUL, is folded, or does not end in CR LF");
	ASSERT_REFUSED(GET HOST "X: a\rY: b\r\n\r\n",
	    "a header's value holds a control character");
}

static void
nul_is_refused_wherever_it_is(void **state)
{
	(void)state;
	ASSERT_REFUSED("GET /x\0y HTTP/1.1\r\n" HOST "\r\n",
	    "the request line holds a NUL, or more than three parts");
	ASSERT_REFUSED(GET HOST "X: a\0b\r\nY: c\r\n\r\n",
	    "a header line holds a NUL, is folded, or does not end in CR LF");
	ASSERT_REFUSED(GET HOST "X: a\0b\r\n\r\n",
	    "the header holds a NUL, is folded, or does not end in CR LF");
	ASSERT_REFUSED(GET HOST "X: a\0\r\n\r\n",
	    "the header holds a NUL, is folded, or does not end in CR LF");
}

static void
control_characters_in_values_are_refused(void **state)
{
	static const char why[] = "a header's value holds a control character";

	(void)state;
	ASSERT_REFUSED(GET HOST "X: a\x01\r\n\r\n", why);
	ASSERT_REFUSED(GET HOST "X: a\x7f\r\n\r\n", why);
	ASSERT_REFUSED(GET HOST "X: \x1b[31m\r\n\r\n", why);
}

static void
addresses_hold_visible_characters_only(void **state)
{
	static const char why[] = "the address holds a byte that must be percent-encoded";

	(void)state;
	ASSERT_REFUSED("GET /a b HTTP/1.1\r\n" HOST "\r\n", why);
	ASSERT_REFUSED("GET /a\x01 HTTP/1.1\r\n" HOST "\r\n", why);
	ASSERT_REFUSED("GET /a\xff HTTP/1.1\r\n" HOST "\r\n", why);
	ASSERT_REFUSED("GET /x FTP/1.1\r\n" HOST "\r\n",
	    "the protocol is neither HTTP/1.1 nor HTTP/1.0");
	ASSERT_REFUSED("G\x01T /x HTTP/1.1\r\n" HOST "\r\n", "the method is not a token");
}

static void
what_is_too_large_is_refused_by_its_own_code(void **state)
{
	struct request_framing framing;
	struct error err = ERROR_INIT;
	char *text, *filler = mem_calloc(HTTP_HEADER_MAX + 2, 1);
	size_t i;

	(void)state;
	memset(filler, 'a', HTTP_HEADER_MAX + 1);
	text = mem_printf(GET HOST "X: %s\r\n\r\n", filler);
	assert_int_equal(check(text, strlen(text), &framing, &err), -1);
	assert_int_equal(err.code, ERROR_HEADER_TOO_LARGE);
	free(text);

	text = mem_printf("GET /%s HTTP/1.1\r\n" HOST "\r\n",
	    filler + HTTP_HEADER_MAX - HTTP_TARGET_MAX);
	assert_int_equal(check(text, strlen(text), &framing, &err), -1);
	assert_int_equal(err.code, ERROR_TOO_LARGE);
	free(text);
	free(filler);

	text = mem_calloc(8, HTTP_HEADER_COUNT_MAX + 20);
	strcpy(text, GET HOST);
	for (i = 0; i < HTTP_HEADER_COUNT_MAX; i++)
		strcat(text, "X: y\r\n");
	strcat(text, "\r\n");
	assert_int_equal(check(text, strlen(text), &framing, &err), -1);
	assert_int_equal(err.code, ERROR_HEADER_TOO_LARGE);
	free(text);
}

static void
expectations_other_than_continue_are_refused(void **state)
{
	(void)state;
	ASSERT_REFUSED(GET HOST "Expect: miracles\r\n\r\n", "Expect is not '100-continue'");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(ordinary_requests_are_taken),
		cmocka_unit_test(the_framing_is_told),
		cmocka_unit_test(two_meanings_of_the_body_are_refused),
		cmocka_unit_test(lengths_are_digits_only),
		cmocka_unit_test(encodings_other_than_chunked_are_refused),
		cmocka_unit_test(one_host_is_needed),
		cmocka_unit_test(names_are_tokens),
		cmocka_unit_test(folded_lines_are_refused_wherever_they_are),
		cmocka_unit_test(lines_end_in_cr_lf_only),
		cmocka_unit_test(nul_is_refused_wherever_it_is),
		cmocka_unit_test(control_characters_in_values_are_refused),
		cmocka_unit_test(addresses_hold_visible_characters_only),
		cmocka_unit_test(what_is_too_large_is_refused_by_its_own_code),
		cmocka_unit_test(expectations_other_than_continue_are_refused),
	};

	return cmocka_run_group_tests_name("http_strict", tests, NULL, NULL);
}
