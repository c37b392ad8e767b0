/*
 * How records and ranges of offsets are written in ledger.db: as numbers of 7 bits a byte, the lowest first,
 * the high bit set in all bytes but a number's last (LEB128).
 *
 * Records are runs of consecutive offsets in one partition, alike in their marks: partition, first offset,
 * (count << 2 | marks), and the payload's size of each. Ranges: first offset and length of each, ascending;
 * the first offset is counted from the end of the range before.
 */
#ifndef GW_LEDGER_RECORDS_H
#define GW_LEDGER_RECORDS_H

#include "base/buffer.h"
#include "gateway/ledger/ledger.h"

/* Writes a number where there is room for GW_NUMBER_MAX bytes; what is behind it. Reading goes on behind it;
 * false: there is none. */
#define GW_NUMBER_MAX 10
unsigned char *gw_number_write(unsigned char *out, uint64_t number);
bool gw_number_append(struct sl_buffer *out, uint64_t number);
bool gw_number_read(const unsigned char **at, const unsigned char *end, uint64_t *number);

/* How many of the records, of which there is one at least, have consecutive offsets in one partition and,
 * unless marks is NULL, the same marks. */
size_t gw_run_length(const struct gw_delivered *records, const unsigned char *marks, size_t count);
/* Appends the size of each of their payloads. */
bool gw_sizes_append(struct sl_buffer *out, const struct gw_delivered *records, size_t count);

enum gw_record_mark {
    GW_RECORD_COUNTED = 1,  /* by this delivery; else by one before it */
    GW_RECORD_CONFIRMED = 2 /* it is counted, and has arrived with a later delivery */
};

struct gw_record_list {
    struct gw_delivered *records;
    unsigned char *marks;
    size_t count, capacity;
};
bool gw_records_reserve(struct gw_record_list *list, size_t count); /* false: no memory */
void gw_records_free(struct gw_record_list *list);
bool gw_records_encode(struct sl_buffer *out, const struct gw_record_list *list);
/* Replaces what is in the list. Errors: SL_PROTOCOL (damaged), SL_OUT_OF_MEMORY. */
sl_status gw_records_decode(const void *bytes, size_t size, struct gw_record_list *list);

/*
 * Offsets that were counted: ascending ranges that do not touch, the list its user's (gw_ranges_free; what is
 * zeroed is empty). With more than GW_RANGES_MAX the lowest is forgotten, so that what lies in it counts
 * again when it is delivered again: nothing is ever taken as counted that was not.
 */
#define GW_RANGES_MAX 4096
struct gw_ranges {
    struct gw_range {
        int64_t first, end; /* end: behind the last */
    } * list;
    size_t count, capacity;
};
void gw_ranges_free(struct gw_ranges *ranges);
bool gw_ranges_hold(const struct gw_ranges *ranges, int64_t offset);
bool gw_ranges_add(struct gw_ranges *ranges, int64_t first, int64_t end); /* false: no memory */
/* Nothing from that offset on is counted any more. */
void gw_ranges_cut(struct gw_ranges *ranges, int64_t from);
bool gw_ranges_encode(struct sl_buffer *out, const struct gw_ranges *ranges);
/* Replaces what is in there. Errors: as above. */
sl_status gw_ranges_decode(const void *bytes, size_t size, struct gw_ranges *ranges);

#endif
