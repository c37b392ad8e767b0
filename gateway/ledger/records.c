#include "gateway/ledger/records.h"

#include "base/array.h"

#include <stdlib.h>
#include <string.h>

#define RUN_MAX ((uint64_t)1 << 40)

unsigned char *gw_number_write(unsigned char *out, uint64_t number)
{
    for (; number > 0x7f; number >>= 7)
        *out++ = (unsigned char)(number | 0x80);
    *out++ = (unsigned char)number;
    return out;
}

bool gw_number_append(struct sl_buffer *out, uint64_t number)
{
    unsigned char bytes[GW_NUMBER_MAX];
    return sl_buffer_append(out, bytes, (size_t)(gw_number_write(bytes, number) - bytes));
}

struct reader {
    const unsigned char *at, *end;
};

bool gw_number_read(const unsigned char **at, const unsigned char *end, uint64_t *number)
{
    *number = 0;
    for (unsigned shift = 0; shift < 64 && *at < end; shift += 7) {
        unsigned char byte = *(*at)++;
        *number |= (uint64_t)(byte & 0x7f) << shift;
        if (!(byte & 0x80))
            return true;
    }
    return false;
}

static bool get(struct reader *reader, uint64_t *number)
{
    return gw_number_read(&reader->at, reader->end, number);
}

bool gw_records_reserve(struct gw_record_list *list, size_t count)
{
    if (count <= list->capacity)
        return true;
    size_t capacity = count < 2 * list->capacity ? 2 * list->capacity : count;
    struct gw_delivered *records = realloc(list->records, capacity * sizeof *records);
    if (records)
        list->records = records;
    unsigned char *marks = records ? realloc(list->marks, capacity) : NULL;
    if (!marks)
        return false;
    list->marks = marks;
    list->capacity = capacity;
    return true;
}

void gw_records_free(struct gw_record_list *list)
{
    free(list->records);
    free(list->marks);
    *list = (struct gw_record_list){.count = 0};
}

size_t gw_run_length(const struct gw_delivered *records, const unsigned char *marks, size_t count)
{
    size_t run = 1;
    while (run < count && records[run].partition == records->partition &&
           records[run].offset == records->offset + (int64_t)run && (!marks || marks[run] == *marks))
        run++;
    return run;
}

bool gw_sizes_append(struct sl_buffer *out, const struct gw_delivered *records, size_t count)
{
    if (!sl_buffer_reserve(out, count * GW_NUMBER_MAX))
        return false;
    unsigned char *end = (unsigned char *)out->data + out->size;
    for (size_t i = 0; i < count; i++)
        end = gw_number_write(end, records[i].bytes);
    out->size = (size_t)(end - (unsigned char *)out->data);
    return true;
}

bool gw_records_encode(struct sl_buffer *out, const struct gw_record_list *list)
{
    bool good = true;
    for (size_t i = 0, run; i < list->count && good; i += run) {
        const struct gw_delivered *first = &list->records[i];
        run = gw_run_length(first, &list->marks[i], list->count - i);
        good = gw_number_append(out, (uint32_t)first->partition) &&
               gw_number_append(out, (uint64_t)first->offset) &&
               gw_number_append(out, (uint64_t)run << 2 | list->marks[i]) && gw_sizes_append(out, first, run);
    }
    return good;
}

sl_status gw_records_decode(const void *bytes, size_t size, struct gw_record_list *list)
{
    struct reader reader = {bytes, (const unsigned char *)bytes + size};
    list->count = 0;
    while (reader.at < reader.end) {
        uint64_t partition, first, run, payload;
        if (!get(&reader, &partition) || !get(&reader, &first) || !get(&reader, &run) ||
            partition > INT32_MAX || first > INT64_MAX - RUN_MAX || run >> 2 > size)
            return SL_PROTOCOL;
        if (!gw_records_reserve(list, list->count + (size_t)(run >> 2)))
            return SL_OUT_OF_MEMORY;
        for (uint64_t k = 0; k < run >> 2; k++) {
            if (!get(&reader, &payload) || payload > UINT32_MAX)
                return SL_PROTOCOL;
            list->marks[list->count] = run & (GW_RECORD_COUNTED | GW_RECORD_CONFIRMED);
            list->records[list->count++] =
                (struct gw_delivered){(int64_t)(first + k), (int32_t)partition, (uint32_t)payload};
        }
    }
    return SL_OK;
}

void gw_ranges_free(struct gw_ranges *ranges)
{
    free(ranges->list);
    *ranges = (struct gw_ranges){.count = 0};
}

/* The first range that ends at the offset, or behind it. */
static size_t find_end(const struct gw_ranges *ranges, int64_t offset)
{
    size_t low = 0, high = ranges->count;
    if (high && ranges->list[high - 1].end < offset)
        return high;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (ranges->list[middle].end < offset)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

bool gw_ranges_hold(const struct gw_ranges *ranges, int64_t offset)
{
    size_t at = find_end(ranges, offset + 1);
    return at < ranges->count && ranges->list[at].first <= offset;
}

static bool reserve_range(struct gw_ranges *ranges)
{
    return sl_array_reserve((void **)&ranges->list, ranges->count, &ranges->capacity, sizeof *ranges->list);
}

bool gw_ranges_add(struct gw_ranges *ranges, int64_t first, int64_t end)
{
    size_t from = find_end(ranges, first), to;
    if (!reserve_range(ranges))
        return false;
    for (to = from; to < ranges->count && ranges->list[to].first <= end; to++) {
        first = ranges->list[to].first < first ? ranges->list[to].first : first;
        end = ranges->list[to].end > end ? ranges->list[to].end : end;
    }
    memmove(&ranges->list[from + 1], &ranges->list[to], (ranges->count - to) * sizeof *ranges->list);
    ranges->list[from] = (struct gw_range){first, end};
    ranges->count = ranges->count - (to - from) + 1;
    if (ranges->count > GW_RANGES_MAX)
        memmove(ranges->list, ranges->list + 1, --ranges->count * sizeof *ranges->list);
    return true;
}

void gw_ranges_cut(struct gw_ranges *ranges, int64_t from)
{
    while (ranges->count && ranges->list[ranges->count - 1].first >= from)
        ranges->count--;
    if (ranges->count && ranges->list[ranges->count - 1].end > from)
        ranges->list[ranges->count - 1].end = from;
}

bool gw_ranges_encode(struct sl_buffer *out, const struct gw_ranges *ranges)
{
    int64_t before = 0;
    bool good = true;
    for (size_t i = 0; i < ranges->count && good; i++) {
        const struct gw_range *range = &ranges->list[i];
        good = gw_number_append(out, (uint64_t)(range->first - before)) &&
               gw_number_append(out, (uint64_t)(range->end - range->first));
        before = range->end;
    }
    return good;
}

sl_status gw_ranges_decode(const void *bytes, size_t size, struct gw_ranges *ranges)
{
    struct reader reader = {bytes, (const unsigned char *)bytes + size};
    int64_t before = 0;
    ranges->count = 0;
    while (reader.at < reader.end) {
        uint64_t gap, length;
        if (ranges->count == GW_RANGES_MAX || !get(&reader, &gap) || !get(&reader, &length) ||
            gap > (uint64_t)(INT64_MAX - before) || length > (uint64_t)(INT64_MAX - before) - gap)
            return SL_PROTOCOL;
        if (!reserve_range(ranges))
            return SL_OUT_OF_MEMORY;
        int64_t first = before + (int64_t)gap;
        before = first + (int64_t)length;
        ranges->list[ranges->count++] = (struct gw_range){first, before};
    }
    return SL_OK;
}
