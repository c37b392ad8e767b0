/* What a status means over HTTP: the number and the stable code (docs/errors.md). */
#ifndef GW_API_FAILURES_H
#define GW_API_FAILURES_H

#include "gateway/http/server.h"

struct gw_failure {
    int http;
    const char *code, *action;
};
/* Of a write, a commit or another call to Kafka. retriable: as the broker said. Static. */
const struct gw_failure *gw_failure_of(sl_status status, bool retriable);

/* Of a call to a store that failed because its disk is full: SL_IO, and retriable. */
extern const struct gw_failure gw_disk_full;

/* Of a call to the store of blobs. Static. */
const struct gw_failure *gw_blob_failure_of(const sl_error *error);

#endif
