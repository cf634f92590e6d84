/*
 * Reed-Solomon over GF(2^8), by Intel's ISA-L: systematic, with a Cauchy matrix.
 * Without the library every function is there, and parity_code_available() says no.
 * Source: agent/repository/FORMAT.md, "Parity".
 */
#ifndef HOLDFAST_AGENT_REPOSITORY_PARITY_CODE_H
#define HOLDFAST_AGENT_REPOSITORY_PARITY_CODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "shared/error.h"

struct parity_code;

bool parity_code_available(void);

/*
 * A code of so many data rows, for some of its parity rows.
 *   rows, row_count   which parity rows, each from 0
 */
struct parity_code *parity_code_new(unsigned data, const unsigned *rows, unsigned row_count);
void parity_code_free(struct parity_code *code);

/* Add the share of one data row to each of the parity rows (which begin as zeros, or, to find what
 * is lost, as the parity itself). */
void parity_code_add(struct parity_code *code, unsigned data_row, const uint8_t *data,
    size_t len, uint8_t **parity);
/*
 * The data rows that are lost, once all others were added to the parity.
 *   lost      row_count data rows, ascending
 *   parity    what parity_code_add() left
 *   out       row_count times len bytes, in the order of lost
 */
int parity_code_solve(struct parity_code *code, const unsigned *lost, uint8_t **parity,
    size_t len, uint8_t **out, struct error *err);

#endif
