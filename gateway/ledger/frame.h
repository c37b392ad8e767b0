/*
 * A frame of the ledger's journal (journal.h): the events that were written together, all or none of them.
 *
 * It begins at a multiple of GW_FRAME_BLOCK bytes and is filled with zeros up to the next one. Numbers of the
 * header are little-endian:
 *
 *    0  "SLJ1"        4  CRC-32 of all that follows, up to the end of the events
 *    8  sequence, 8   ascending by one from frame to frame, beginning with 1
 *   16  bytes of the events, 4        20  how many, 4
 *   24  node, 16      which ledger.db it belongs to: random, and known to nobody who sends events
 *   40  writer, 16    which run of the gateway wrote it
 *   56  released, 8   up to here all was in ledger.db, on the disk, and its place may have been written over
 *   64  the events
 *
 * An event is numbers (records.h) and texts, which are their size, their bytes and a NUL: kind, time, number,
 * figures (which of them there are, a bit each, and those), application, catalog, layer, group, topic, how
 * many records, and runs of consecutive offsets of a partition: partition, first offset, how many (which may
 * be written with bytes to spare), the bytes of each. The bit behind those of the figures: gaps follow, how
 * many, and of each partition, first offset and length.
 */
#ifndef GW_LEDGER_FRAME_H
#define GW_LEDGER_FRAME_H

#include "gateway/ledger/store.h"

#define GW_FRAME_BLOCK  4096
#define GW_FRAME_HEADER 64
#define GW_FRAME_MAX    ((size_t)256 << 20) /* bytes of one */

struct gw_frame {
    uint64_t sequence, released;
    size_t size; /* with its header, without what fills it up */
    uint32_t events;
    char node[GW_WRITER_DIGITS + 1], writer[GW_WRITER_DIGITS + 1];
};

/* What size bytes take of a file. */
static inline size_t gw_frame_room(size_t size)
{
    return (size + GW_FRAME_BLOCK - 1) / GW_FRAME_BLOCK * GW_FRAME_BLOCK;
}

/* Begins a frame in an empty buffer; adds an event; fills in the header. false: no memory, or too large. */
bool gw_frame_begin(struct sl_buffer *out);
bool gw_frame_add(struct sl_buffer *out, const struct gw_ledger_event *event);
void gw_frame_end(struct sl_buffer *out, const char *node, const char *writer, uint64_t sequence,
                  uint64_t released, uint32_t events);

/* Whether a frame begins at bytes, whole and undamaged; the first: its header alone, of one that has not left
 * memory. */
bool gw_frame_head(const void *bytes, size_t size, struct gw_frame *frame);
bool gw_frame_read(const void *bytes, size_t size, struct gw_frame *frame);

/* Reading the events of a frame that is whole. */
struct gw_frame_events {
    const unsigned char *at, *end;
    struct gw_delivered *records; /* of the event at hand, as the gaps */
    size_t capacity;
    struct gw_gap *gaps;
    size_t gap_capacity;
};
void gw_frame_events(struct gw_frame_events *events, const void *bytes, const struct gw_frame *frame);
/* The next one; its texts live as long as the frame's bytes, its records and gaps until the next call.
 * Errors: SL_NOT_FOUND (there is none), SL_CHECKSUM_MISMATCH (what is there is none), SL_OUT_OF_MEMORY. */
sl_status gw_frame_next(struct gw_frame_events *events, struct gw_ledger_event *event, sl_error *error);
void gw_frame_events_free(struct gw_frame_events *events);

#endif
