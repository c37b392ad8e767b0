/*
 * The records of a delivery as they are gathered, while it is encoded: packed as a frame of the journal has
 * them (frame.h), so that each takes two bytes or three, and they go there with one copy.
 */
#ifndef GW_LEDGER_PACKED_H
#define GW_LEDGER_PACKED_H

#include "base/buffer.h"
#include "gateway/ledger/ledger.h"

struct gw_packed {
    struct sl_buffer runs;
    size_t count;  /* of the records */
    int64_t bytes; /* of their payloads together */
    /* What would go on with the last run, its length, and where that is to stand. */
    int64_t next;
    int32_t partition;
    uint32_t length;
    size_t length_at;
};

void gw_packed_init(struct gw_packed *packed);
void gw_packed_free(struct gw_packed *packed); /* and ready to be used again */
#define GW_PACKED_RECORD ((size_t)40)          /* bytes at most, with what begins a run */
/* Room for more; the first time, for thousands. false: no memory. */
bool gw_packed_grow(struct gw_packed *packed);
/* For one at least. */
static inline bool gw_packed_reserve(struct gw_packed *packed)
{
    return packed->runs.capacity - packed->runs.size > GW_PACKED_RECORD || gw_packed_grow(packed);
}
/* Adds it: there is room. Most go on with a run, and have a size of two bytes: those are added where they
 * come from. */
static inline void gw_packed_note(struct gw_packed *packed, const unsigned char *end, int64_t offset,
                                  uint32_t bytes)
{
    packed->runs.size = (size_t)(end - (const unsigned char *)packed->runs.data);
    packed->next = offset + 1;
    packed->bytes += bytes;
    packed->length++;
    packed->count++;
}
void gw_packed_add_other(struct gw_packed *packed, int32_t partition, int64_t offset, uint32_t bytes);
static inline void gw_packed_add(struct gw_packed *packed, int32_t partition, int64_t offset, uint32_t bytes)
{
    if (offset != packed->next || partition != packed->partition || bytes < 0x80 || bytes > 0x3fff) {
        gw_packed_add_other(packed, partition, offset, bytes);
        return;
    }
    unsigned char *at = (unsigned char *)packed->runs.data + packed->runs.size;
    *at++ = (unsigned char)(bytes | 0x80);
    *at++ = (unsigned char)(bytes >> 7);
    gw_packed_note(packed, at, offset, bytes);
}
/* Before it is read. More may be added after. */
void gw_packed_end(struct gw_packed *packed);
/* The records one by one, in memory that is the caller's: NULL, where there are none, too. */
struct gw_delivered *gw_packed_open(const struct gw_packed *packed);

#endif
