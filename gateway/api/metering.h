/*
 * What the Marketplace counts of a request (docs/marketplace.md): gathered by those who handle it, written to
 * the ledger before its answer goes, and settled when the client has it. A request on a layer that is not on
 * the Marketplace has no meter, and all of this does nothing.
 *
 * A meter is counted by references: the request's, and those of who goes on after it. Unless said otherwise
 * all calls are made by who has the request, one at a time.
 */
#ifndef GW_API_METERING_H
#define GW_API_METERING_H

#include "gateway/gateway_internal.h"
#include "gateway/ledger/packed.h"
#include "wire/record.h"

struct gw_meter;
struct gw_subscription;

/* As what a route's calls count (struct gw_route's counted). */
enum gw_counted { GW_COUNTED_NOT, GW_COUNTED_IN, GW_COUNTED_OUT };

/* Begins to count a request on a layer, where that is to be done. False: it is refused, since it could not be
 * written down, and answered. The request's loop. */
bool gw_meter_begin(struct gw_request *request, struct gw_layer *layer);
/* Of an answer that is counted there are no more: its event has to fit a message of the ledger's topic (2
 * MiB), with some 45 bytes for a record, or a gap before it, that stands alone. */
#define GW_METERED_RECORDS 20000
struct gw_meter *gw_request_meter(struct gw_request *request); /* linked; NULL: it is not counted */
/* A meter without a request, of what is delivered piece by piece: of the same application, layer and loop.
 * NULL: no memory. Any thread. */
struct gw_meter *gw_meter_like(const struct gw_meter *meter);
void gw_meter_unlink(struct gw_meter *meter); /* NULL is allowed. Any thread */
/* Answers that it is refused, since it could not be written down. */
void gw_respond_uncounted(struct gw_request *request, const char *why);

/* The rest do nothing when meter is NULL, unless they say that it is none. */

/* Messages that are in the layer now. They count whatever the request is answered. The request's loop. */
void gw_meter_in(struct gw_meter *meter, const struct gw_layer *layer, int64_t messages, int64_t bytes);
/* Bytes of a blob that were stored, or are in the answer. */
void gw_meter_blob_in(struct gw_meter *meter, int64_t bytes);
void gw_meter_blob_out(struct gw_meter *meter, int64_t bytes);
/* The records that are in the answer, for a group (its name in Kafka). */
void gw_meter_group(struct gw_meter *meter, const char *group);
/* Where each is noted as it is encoded; it stays where it is. NULL without a meter. */
struct gw_packed *gw_meter_records(struct gw_meter *meter);
/* The record that is noted next is the first of its partition's since that offset, which is less than its
 * own; without memory for it that is not said. A meter. */
void gw_meter_nothing_since(struct gw_meter *meter, sl_offset offset, int64_t since);
/* Notes one, for which there is room, in the records of that meter: no NULL. since: as gw_poll's
 * nothing_since. */
static inline void gw_meter_record(struct gw_meter *meter, struct gw_packed *records,
                                   const struct sl_message *message, int64_t since)
{
    if (since < message->offset.offset)
        gw_meter_nothing_since(meter, message->offset, since);
    gw_packed_add(records, message->offset.partition, message->offset.offset,
                  (uint32_t)message->payload_size);
}
/* Room for an offset that the group goes to, and that it goes there: from there on all counts again. False:
 * no memory. */
bool gw_meter_reserve(struct gw_meter *meter);
bool gw_meter_seek(struct gw_meter *meter, sl_offset offset);

/* Writes it down now, not only when the answer has come to its loop: the order among the calls of one
 * subscription is that of its own loop. */
void gw_meter_submit(struct gw_meter *meter);
/* The same; written is called on its loop. */
void gw_meter_submit_to(struct gw_meter *meter, void (*written)(void *opaque, bool good), void *opaque);
/* Whether what was written down, of a meter without a request, has arrived. Its loop. */
void gw_meter_settle(struct gw_meter *meter, bool received);

#endif
