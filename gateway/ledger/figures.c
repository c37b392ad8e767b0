#include "gateway/ledger/ledger.h"

#include <stddef.h>
#include <string.h>

const char *const gw_figure_names[GW_FIGURES] = {
    [GW_CALLS_IN] = "callsIn",          [GW_CALLS_OUT] = "callsOut",
    [GW_MESSAGES_IN] = "messagesIn",    [GW_MESSAGES_OUT] = "messagesOut",
    [GW_BYTES_IN] = "bytesIn",          [GW_BYTES_OUT] = "bytesOut",
    [GW_BLOB_BYTES_IN] = "blobBytesIn", [GW_BLOB_BYTES_OUT] = "blobBytesOut",
};

static const size_t offsets[GW_FIGURES] = {
    [GW_CALLS_IN] = offsetof(struct gw_usage, calls_in),
    [GW_CALLS_OUT] = offsetof(struct gw_usage, calls_out),
    [GW_MESSAGES_IN] = offsetof(struct gw_usage, messages_in),
    [GW_MESSAGES_OUT] = offsetof(struct gw_usage, messages_out),
    [GW_BYTES_IN] = offsetof(struct gw_usage, bytes_in),
    [GW_BYTES_OUT] = offsetof(struct gw_usage, bytes_out),
    [GW_BLOB_BYTES_IN] = offsetof(struct gw_usage, blob_bytes_in),
    [GW_BLOB_BYTES_OUT] = offsetof(struct gw_usage, blob_bytes_out),
};

int64_t gw_figure(const struct gw_usage *usage, size_t which)
{
    int64_t value;
    memcpy(&value, (const char *)usage + offsets[which], sizeof value);
    return value;
}

void gw_figure_set(struct gw_usage *usage, size_t which, int64_t value)
{
    memcpy((char *)usage + offsets[which], &value, sizeof value);
}

void gw_usage_add(struct gw_usage *sum, const struct gw_usage *more)
{
    for (size_t i = 0; i < GW_FIGURES; i++)
        gw_figure_set(sum, i, gw_figure(sum, i) + gw_figure(more, i));
}
