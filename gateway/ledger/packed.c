#include "gateway/ledger/packed.h"

#include "gateway/ledger/frame.h"
#include "gateway/ledger/records.h"

#include <stdlib.h>
#include <string.h>

#define FIRST_ROOM ((size_t)16383) /* some 8,000 records: most answers do with it */
#define LENGTH     5               /* bytes of a run's length, which is known when it has ended */
_Static_assert(3 * GW_NUMBER_MAX + LENGTH <= GW_PACKED_RECORD, "partition, offset, size, and the length");

void gw_packed_init(struct gw_packed *packed)
{
    *packed = (struct gw_packed){.next = -1};
    sl_buffer_init(&packed->runs, GW_FRAME_MAX);
}

void gw_packed_free(struct gw_packed *packed)
{
    sl_buffer_free(&packed->runs);
    gw_packed_init(packed);
}

bool gw_packed_grow(struct gw_packed *packed)
{
    /* What grows beside the answer would keep the answer's memory from growing in its place. */
    return sl_buffer_reserve(&packed->runs, packed->count ? GW_PACKED_RECORD : FIRST_ROOM);
}

/* In LENGTH bytes, whatever it is. */
static void write_length(struct gw_packed *packed)
{
    char *at = packed->runs.data + packed->length_at;
    for (unsigned i = 0; i < LENGTH; i++)
        at[i] = (char)((packed->length >> 7 * i & 0x7f) | (i + 1 < LENGTH ? 0x80 : 0));
}

static unsigned char *begin_run(struct gw_packed *packed, unsigned char *at, int32_t partition,
                                int64_t offset)
{
    gw_packed_end(packed);
    at = gw_number_write(at, (uint32_t)partition);
    at = gw_number_write(at, (uint64_t)offset);
    packed->length_at = (size_t)(at - (unsigned char *)packed->runs.data);
    packed->partition = partition;
    packed->length = 0;
    return at + LENGTH;
}

void gw_packed_add_other(struct gw_packed *packed, int32_t partition, int64_t offset, uint32_t bytes)
{
    unsigned char *at = (unsigned char *)packed->runs.data + packed->runs.size;
    if (offset != packed->next || partition != packed->partition)
        at = begin_run(packed, at, partition, offset);
    gw_packed_note(packed, gw_number_write(at, bytes), offset, bytes);
}

void gw_packed_end(struct gw_packed *packed)
{
    if (packed->count)
        write_length(packed);
}

struct gw_delivered *gw_packed_open(const struct gw_packed *packed)
{
    struct gw_delivered *records = packed->count ? malloc(packed->count * sizeof *records) : NULL;
    const unsigned char *at = (const unsigned char *)packed->runs.data, *end = at + packed->runs.size;
    for (size_t i = 0; records && i < packed->count;) {
        uint64_t partition, offset, length, bytes;
        gw_number_read(&at, end, &partition);
        gw_number_read(&at, end, &offset);
        gw_number_read(&at, end, &length);
        for (; length; length--) {
            gw_number_read(&at, end, &bytes);
            records[i++] =
                (struct gw_delivered){(int64_t)offset++, (int32_t)(uint32_t)partition, (uint32_t)bytes};
        }
    }
    return records;
}
