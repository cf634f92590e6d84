#include "agent/repository/parity_code.h"

#include <stdlib.h>
#include <string.h>

#include "shared/mem.h"

#ifdef HAVE_ISAL

#include <isa-l/erasure_code.h>

/* The library's tables: so many bytes for each coefficient. */
#define TABLE_BYTES 32

struct parity_code {
	unsigned data, row_count;
	uint8_t *matrix; /* row_count times data coefficients */
	uint8_t *tables;
};

bool
parity_code_available(void)
{
	return true;
}

struct parity_code *
parity_code_new(unsigned data, const unsigned *rows, unsigned row_count)
{
	struct parity_code *code = MEM_NEW(struct parity_code);

	code->data = data;
	code->row_count = row_count;
	code->matrix = mem_calloc((size_t)row_count * data, 1);
	code->tables = mem_calloc((size_t)row_count * data, TABLE_BYTES);
	/* As gf_gen_cauchy1_matrix() has it, but only the rows that are wanted. */
	for (unsigned r = 0; r < row_count; r++)
		for (unsigned d = 0; d < data; d++)
			code->matrix[r * data + d] = gf_inv((uint8_t)((data + rows[r]) ^ d));
	ec_init_tables((int)data, (int)row_count, code->matrix, code->tables);
	return code;
}

void
parity_code_free(struct parity_code *code)
{
	if (code == NULL)
		return;
	free(code->matrix);
	free(code->tables);
	free(code);
}

void
parity_code_add(struct parity_code *code, unsigned data_row, const uint8_t *data, size_t len,
    uint8_t **parity)
{
	/* The library only reads the data, but does not say so. */
	ec_encode_data_update((int)len, (int)code->data, (int)code->row_count, (int)data_row,
	    code->tables, (uint8_t *)(uintptr_t)data, parity);
}

/*
 * What is left of each parity row is the sum of the lost rows' shares: as many equations as there
 * are unknowns. Every square part of a Cauchy matrix can be inverted.
 */
int
parity_code_solve(struct parity_code *code, const unsigned *lost, uint8_t **parity, size_t len,
    uint8_t **out, struct error *err)
{
	unsigned n = code->row_count;
	uint8_t *part = mem_calloc((size_t)n * n, 1), *inverse = mem_calloc((size_t)n * n, 1);
	uint8_t *tables = mem_calloc((size_t)n * n, TABLE_BYTES);
	int rc = 0;

	for (unsigned r = 0; r < n; r++)
		for (unsigned d = 0; d < n; d++)
			part[r * n + d] = code->matrix[r * code->data + lost[d]];
	if (gf_invert_matrix(part, inverse, (int)n) != 0) {
		rc = error_set(err, ERROR_INTERNAL, "a matrix of the parity has no inverse");
	} else {
		ec_init_tables((int)n, (int)n, inverse, tables);
		ec_encode_data((int)len, (int)n, (int)n, tables, parity, out);
	}
	free(part);
	free(inverse);
	free(tables);
	return rc;
}

#else

bool
parity_code_available(void)
{
	return false;
}

struct parity_code *
parity_code_new(unsigned data, const unsigned *rows, unsigned row_count)
{
	(void)data;
	(void)rows;
	(void)row_count;
	return NULL;
}

void
parity_code_free(struct parity_code *code)
{
	(void)code;
}

void
parity_code_add(struct parity_code *code, unsigned data_row, const uint8_t *data, size_t len,
    uint8_t **parity)
{
	(void)code;
	(void)data_row;
	(void)data;
	(void)len;
	(void)parity;
}

int
parity_code_solve(struct parity_code *code, const unsigned *lost, uint8_t **parity, size_t len,
    uint8_t **out, struct error *err)
{
	(void)code;
	(void)lost;
	(void)parity;
	(void)len;
	(void)out;
	return error_set(err, ERROR_UNSUPPORTED, "this program was built without libisal");
}

#endif
