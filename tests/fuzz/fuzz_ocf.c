/* An Avro file of anybody: head, schema, blocks, rows. */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "agent/tables/encode.h"
#include "agent/tables/ocf.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

struct input {
	const uint8_t *data;
	size_t len;
};

static int64_t
take(void *arg, void *buf, size_t len, struct error *err)
{
	struct input *input = arg;
	size_t n = input->len < len ? input->len : len;

	(void)err;
	if (n > 0)
		memcpy(buf, input->data, n);
	input->data += n;
	input->len -= n;
	return (int64_t)n;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	struct input input = { data, len };
	struct error err = ERROR_INIT;
	const struct ocf_value *values;
	char text[DECIMAL_TEXT_SIZE];
	const uint8_t *row;
	struct ocf *ocf;
	size_t n;

	if (ocf_open(take, &input, &ocf, &err) != 0)
		return 0;
	while (ocf_next(ocf, &values, &row, &n, &err) == 1)
		for (size_t i = 0; i < ocf_schema(ocf)->field_count; i++)
			if (values[i].type->logical == OCF_DECIMAL)
				decimal_decode(values[i].data, values[i].len,
				    values[i].type->scale, text);
	ocf_free(ocf);
	return 0;
}
