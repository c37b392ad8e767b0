#include "gateway/ledger/frame.h"

#include "base/error.h"
#include "gateway/ledger/packed.h"
#include "gateway/ledger/records.h"

#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#define MAGIC     "SLJ1"
#define CHECKED   8 /* from here on the checksum is taken */
#define SEQUENCE  8
#define SIZE      16
#define EVENTS    20
#define NODE      24
#define WRITER    40
#define RELEASED  56
#define TEXT_MAX  ((uint64_t)1 << 20)
#define TEXTS     (sizeof texts / sizeof *texts)
#define LAST_KIND GW_LEDGER_BEGUN
#define GAPS      ((uint64_t)1 << GW_FIGURES) /* beside the figures' bits: gaps follow */

static const size_t texts[] = {
    offsetof(struct gw_ledger_event, application), offsetof(struct gw_ledger_event, hrn),
    offsetof(struct gw_ledger_event, layer),       offsetof(struct gw_ledger_event, group),
    offsetof(struct gw_ledger_event, topic),
};

static void put_fixed(char *at, uint64_t number, size_t size)
{
    for (size_t i = 0; i < size; i++)
        at[i] = (char)(number >> 8 * i);
}

static uint64_t get_fixed(const char *at, size_t size)
{
    uint64_t number = 0;
    for (size_t i = 0; i < size; i++)
        number |= (uint64_t)(unsigned char)at[i] << 8 * i;
    return number;
}

bool gw_frame_begin(struct sl_buffer *out)
{
    static const char header[GW_FRAME_HEADER] = MAGIC;
    return sl_buffer_append(out, header, sizeof header);
}

static void put_text(struct sl_buffer *out, const char *text)
{
    size_t size = text ? strlen(text) : 0;
    gw_number_append(out, size);
    sl_buffer_append(out, text ? text : "", size + 1);
}

static void put_figures(struct sl_buffer *out, const struct gw_usage *usage, uint64_t there)
{
    for (size_t i = 0; i < GW_FIGURES; i++)
        there |= (uint64_t)(gw_figure(usage, i) != 0) << i;
    gw_number_append(out, there);
    for (size_t i = 0; i < GW_FIGURES; i++)
        if (there >> i & 1)
            gw_number_append(out, (uint64_t)gw_figure(usage, i));
}

static void put_records(struct sl_buffer *out, const struct gw_ledger_event *event)
{
    gw_number_append(out, event->count);
    if (event->packed) {
        sl_buffer_append(out, event->packed->runs.data, event->packed->runs.size);
        return;
    }
    for (size_t i = 0, run; i < event->count; i += run) {
        const struct gw_delivered *first = &event->records[i];
        run = gw_run_length(first, NULL, event->count - i);
        gw_number_append(out, (uint32_t)first->partition);
        gw_number_append(out, (uint64_t)first->offset);
        gw_number_append(out, run);
        if (!gw_sizes_append(out, first, run))
            return;
    }
}

static void put_gaps(struct sl_buffer *out, const struct gw_ledger_event *event)
{
    gw_number_append(out, event->gap_count);
    for (size_t i = 0; i < event->gap_count; i++) {
        gw_number_append(out, (uint32_t)event->gaps[i].partition);
        gw_number_append(out, (uint64_t)event->gaps[i].first);
        gw_number_append(out, (uint64_t)(event->gaps[i].end - event->gaps[i].first));
    }
}

bool gw_frame_add(struct sl_buffer *out, const struct gw_ledger_event *event)
{
    gw_number_append(out, event->kind);
    gw_number_append(out, (uint64_t)event->at_ms);
    gw_number_append(out, (uint64_t)event->number);
    put_figures(out, &event->usage, event->gap_count ? GAPS : 0);
    for (size_t i = 0; i < TEXTS; i++) {
        const char *text;
        memcpy(&text, (const char *)event + texts[i], sizeof text);
        put_text(out, text);
    }
    put_records(out, event);
    if (event->gap_count)
        put_gaps(out, event);
    return !out->failed;
}

static uint32_t checksum(const char *bytes, size_t size)
{
    return (uint32_t)crc32_z(0, (const Bytef *)bytes + CHECKED, size - CHECKED);
}

void gw_frame_end(struct sl_buffer *out, const char *node, const char *writer, uint64_t sequence,
                  uint64_t released, uint32_t events)
{
    char *header = out->data;
    put_fixed(header + SEQUENCE, sequence, 8);
    put_fixed(header + SIZE, out->size - GW_FRAME_HEADER, 4);
    put_fixed(header + EVENTS, events, 4);
    put_fixed(header + RELEASED, released, 8);
    memcpy(header + NODE, node, GW_WRITER_DIGITS);
    memcpy(header + WRITER, writer, GW_WRITER_DIGITS);
    put_fixed(header + 4, checksum(header, out->size), 4);
}

bool gw_frame_head(const void *bytes, size_t size, struct gw_frame *frame)
{
    const char *header = bytes;
    if (size < GW_FRAME_HEADER || memcmp(header, MAGIC, 4) != 0)
        return false;
    uint64_t events_size = get_fixed(header + SIZE, 4);
    if (events_size > size - GW_FRAME_HEADER)
        return false;
    frame->size = (size_t)events_size + GW_FRAME_HEADER;
    frame->sequence = get_fixed(header + SEQUENCE, 8);
    frame->released = get_fixed(header + RELEASED, 8);
    frame->events = (uint32_t)get_fixed(header + EVENTS, 4);
    memcpy(frame->node, header + NODE, GW_WRITER_DIGITS);
    memcpy(frame->writer, header + WRITER, GW_WRITER_DIGITS);
    frame->node[GW_WRITER_DIGITS] = frame->writer[GW_WRITER_DIGITS] = 0;
    return true;
}

bool gw_frame_read(const void *bytes, size_t size, struct gw_frame *frame)
{
    return gw_frame_head(bytes, size, frame) &&
           get_fixed((const char *)bytes + 4, 4) == checksum(bytes, frame->size);
}

void gw_frame_events(struct gw_frame_events *events, const void *bytes, const struct gw_frame *frame)
{
    events->at = (const unsigned char *)bytes + GW_FRAME_HEADER;
    events->end = (const unsigned char *)bytes + frame->size;
}

static bool get_number(struct gw_frame_events *events, uint64_t *number)
{
    return gw_number_read(&events->at, events->end, number);
}

static bool get_text(struct gw_frame_events *events, const char **text)
{
    uint64_t size;
    if (!get_number(events, &size) || size > TEXT_MAX || size >= (uint64_t)(events->end - events->at) ||
        events->at[size] || memchr(events->at, 0, (size_t)size))
        return false;
    *text = (const char *)events->at;
    events->at += size + 1;
    return true;
}

static bool get_figures(struct gw_frame_events *events, struct gw_usage *usage, bool *has_gaps)
{
    uint64_t there, value;
    if (!get_number(events, &there) || there >= 2 * GAPS)
        return false;
    *has_gaps = there & GAPS;
    for (size_t i = 0; i < GW_FIGURES; i++) {
        if (!(there >> i & 1))
            continue;
        if (!get_number(events, &value))
            return false;
        gw_figure_set(usage, i, (int64_t)value);
    }
    return true;
}

/* The size of a payload: most take a byte or two. */
static inline bool get_size(const unsigned char **at, const unsigned char *end, uint64_t *bytes)
{
    const unsigned char *first = *at;
    if (end - first < 2 || (first[0] & first[1] & 0x80))
        return gw_number_read(at, end, bytes);
    bool two = first[0] & 0x80;
    *bytes = two ? (first[0] & 0x7f) | (uint64_t)first[1] << 7 : first[0];
    *at = first + 1 + two;
    return true;
}

static bool get_run(struct gw_frame_events *events, struct gw_ledger_event *event, uint64_t count)
{
    uint64_t partition, first, run, bytes;
    if (!get_number(events, &partition) || !get_number(events, &first) || !get_number(events, &run) ||
        partition > UINT32_MAX || !run || run > count - event->count)
        return false;
    const unsigned char *at = events->at;
    struct gw_delivered *record = &events->records[event->count];
    for (uint64_t k = 0; k < run; k++) {
        if (!get_size(&at, events->end, &bytes) || bytes > UINT32_MAX)
            return false;
        *record++ =
            (struct gw_delivered){(int64_t)(first + k), (int32_t)(uint32_t)partition, (uint32_t)bytes};
    }
    events->at = at;
    event->count += (size_t)run;
    return true;
}

static sl_status not_read(sl_error *error)
{
    return sl_error_set(error, SL_CHECKSUM_MISMATCH, "a frame has what is no event");
}

/* How many there are, and room for them. Each takes a byte at least, so that is bounded by the frame. */
static sl_status get_count(struct gw_frame_events *events, void **array, size_t *capacity, size_t size,
                           uint64_t *count, sl_error *error)
{
    if (!get_number(events, count) || *count > (uint64_t)(events->end - events->at))
        return not_read(error);
    if (*count <= *capacity)
        return SL_OK;
    void *grown = realloc(*array, (size_t)*count * size);
    if (!grown)
        return sl_error_oom(error);
    *array = grown;
    *capacity = (size_t)*count;
    return SL_OK;
}

static sl_status get_records(struct gw_frame_events *events, struct gw_ledger_event *event, sl_error *error)
{
    uint64_t count;
    sl_status status = get_count(events, (void **)&events->records, &events->capacity,
                                 sizeof *events->records, &count, error);
    while (!status && event->count < count)
        if (!get_run(events, event, count))
            return not_read(error);
    event->records = events->records;
    return status;
}

static sl_status get_gaps(struct gw_frame_events *events, struct gw_ledger_event *event, sl_error *error)
{
    uint64_t count, partition, first, length;
    sl_status status =
        get_count(events, (void **)&events->gaps, &events->gap_capacity, sizeof *events->gaps, &count, error);
    for (; !status && event->gap_count < count; event->gap_count++) {
        if (!get_number(events, &partition) || !get_number(events, &first) || !get_number(events, &length) ||
            partition > UINT32_MAX || first > INT64_MAX || length > INT64_MAX - first)
            return not_read(error);
        events->gaps[event->gap_count] =
            (struct gw_gap){(int64_t)first, (int64_t)(first + length), (int32_t)(uint32_t)partition};
    }
    event->gaps = events->gaps;
    return status;
}

sl_status gw_frame_next(struct gw_frame_events *events, struct gw_ledger_event *event, sl_error *error)
{
    uint64_t kind, at_ms, number;
    bool has_gaps;
    *event = (struct gw_ledger_event){.count = 0};
    if (events->at == events->end)
        return SL_NOT_FOUND;
    if (!get_number(events, &kind) || kind > LAST_KIND || !get_number(events, &at_ms) ||
        !get_number(events, &number) || !get_figures(events, &event->usage, &has_gaps))
        return not_read(error);
    event->kind = (enum gw_ledger_kind)kind;
    event->at_ms = (int64_t)at_ms;
    event->number = (int64_t)number;
    for (size_t i = 0; i < TEXTS; i++) {
        const char *text;
        if (!get_text(events, &text))
            return not_read(error);
        memcpy((char *)event + texts[i], &text, sizeof text);
    }
    sl_status status = get_records(events, event, error);
    return status || !has_gaps ? status : get_gaps(events, event, error);
}

void gw_frame_events_free(struct gw_frame_events *events)
{
    free(events->records);
    free(events->gaps);
    *events = (struct gw_frame_events){.at = NULL};
}
