/* SPDX-License-Identifier: GPL-3.0-or-later */
/* MTA-STS: the same bytes as a policy and as a TXT record. */
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "submit/mtasts.h"

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t n);

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t n)
{
	/* a copy without a NUL behind it: reading too far is seen */
	char *text = mem_alloc(n ? n : 1);
	struct sts_policy p;
	char id[33];

	if (n)
		memcpy(text, data, n);
	if (sts_policy_read(text, n, &p)) {
		if (p.mode != STS_NONE && !p.mx.n)
			abort();
		(void)sts_lists(&p, "mx.example.org");
		(void)sts_lists(&p, "");
	}
	sts_policy_release(&p);
	if (sts_record_read(text, n, id) && !id[0])
		abort();
	free(text);
	return 0;
}
