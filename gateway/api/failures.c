#include "gateway/api/failures.h"

#include <string.h>
#include <strings.h>

const struct gw_failure *gw_failure_of(sl_status status, bool retriable)
{
    static const struct gw_failure queue_full = {503, "queue-full",
                                                 "send again after the time that Retry-After gives"};
    static const struct gw_failure timed_out = {503, "kafka-timed-out",
                                                "send again; the message may be in the layer already"};
    static const struct gw_failure unavailable = {503, "kafka-unavailable",
                                                  "send again after the time that Retry-After gives"};
    static const struct gw_failure closing = {503, "shutting-down",
                                              "send again after the time that Retry-After gives"};
    static const struct gw_failure memory = {503, "out-of-memory", "send again later"};
    static const struct gw_failure too_large = {413, "message-too-large",
                                                "make key, headers and payload together smaller"};
    static const struct gw_failure refused = {400, "message-refused",
                                              "change the message so that Kafka takes it"};
    static const struct gw_failure gone = {404, "topic-missing",
                                           "delete the layer and make it again: its Kafka topic is gone"};
    static const struct gw_failure other = {500, "kafka-refused",
                                            "ask whoever operates the gateway: Kafka refuses its requests"};
    switch (status) {
    case SL_QUEUE_FULL:
        return &queue_full;
    case SL_TIMED_OUT:
        return &timed_out;
    case SL_UNAVAILABLE:
        return &unavailable;
    case SL_CLOSED:
        return &closing;
    case SL_OUT_OF_MEMORY:
        return &memory;
    case SL_TOO_LARGE:
        return &too_large;
    case SL_INVALID_ARGUMENT:
        return &refused;
    case SL_NOT_FOUND:
        return &gone;
    default:
        return retriable ? &unavailable : &other;
    }
}

const struct gw_failure gw_disk_full = {507, "disk-full",
                                        "ask whoever operates the gateway to make room, then send again"};

const struct gw_failure *gw_blob_failure_of(const sl_error *error)
{
    static const struct gw_failure missing = {
        404, "no-such-blob",
        "store the blob first, or correct the data handle; blobs end with the layer's ttl"};
    static const struct gw_failure memory = {503, "out-of-memory", "send again later"};
    static const struct gw_failure closing = {503, "shutting-down",
                                              "send again after the time that Retry-After gives"};
    static const struct gw_failure handle = {400, "bad-data-handle",
                                             "use 1 to 128 characters of A-Z a-z 0-9 . _ -"};
    static const struct gw_failure other = {500, "blob-store-failed",
                                            "ask whoever operates the gateway: its disk does not work"};
    switch (error->status) {
    case SL_NOT_FOUND:
        return &missing;
    case SL_OUT_OF_MEMORY:
        return &memory;
    case SL_CLOSED:
        return &closing;
    case SL_INVALID_ARGUMENT:
        return &handle;
    default:
        return error->retriable ? &gw_disk_full : &other;
    }
}
