/*
 * Events as the ledger's topic has them: JSON, so that any consumer can add them up. Records are runs of
 * consecutive offsets, [[partition, first offset, how many, their bytes together, sizes], …]: the payload's
 * size of each record, as numbers (records.h) in base64, since a number of JSON's for each would cost more
 * than all else that the gateway does with a record. Versions before this one wrote them so: [[partition,
 * first offset, [bytes, …]], …]. What is sought has offsets alone: [[partition, offset], …]. Gaps are
 * [[partition, first offset, offset behind the last], …].
 */
#include "base/text.h"
#include "gateway/ledger/internal.h"
#include "gateway/ledger/lift.h"
#include "gateway/ledger/packed.h"
#include "gateway/ledger/records.h"

#include <stdlib.h>
#include <string.h>

static const char *const kinds[] = {
    [GW_LEDGER_USED] = "used",     [GW_LEDGER_DELIVERED] = "delivered", [GW_LEDGER_SETTLED] = "settled",
    [GW_LEDGER_BROKEN] = "broken", [GW_LEDGER_SOUGHT] = "sought",       [GW_LEDGER_BEGUN] = "begun",
};
#define KINDS (sizeof kinds / sizeof *kinds)

/* What records say stands with them only. */
static const size_t figures[] = {GW_CALLS_IN, GW_CALLS_OUT,     GW_MESSAGES_IN,
                                 GW_BYTES_IN, GW_BLOB_BYTES_IN, GW_BLOB_BYTES_OUT};
#define FIGURES (sizeof figures / sizeof *figures)

#define NUMBER_MAX (INT64_MAX / 2) /* of offsets, and of a writer's events: nobody gets there */

static void put_text(struct sl_buffer *out, const char *name, const char *value)
{
    if (!value)
        return;
    sl_buffer_printf(out, ",\"%s\":", name);
    sl_buffer_append_quoted_text(out, value);
}

static void put_offsets(struct sl_buffer *out, int partition, int64_t first, uint64_t count, bool more)
{
    for (uint64_t i = 0; i < count; i++)
        sl_buffer_printf(out, "%s[%d,%lld]", i || more ? "," : "", partition,
                         (long long)first + (long long)i);
}

/* at: the sizes of so many records, and what is behind them. Returns that. */
static const unsigned char *put_run(struct sl_buffer *out, int partition, int64_t first, uint64_t count,
                                    const unsigned char *at, const unsigned char *end, bool more)
{
    const unsigned char *sizes = at;
    uint64_t bytes, sum = 0;
    for (uint64_t i = 0; i < count; i++, sum += bytes)
        gw_number_read(&at, end, &bytes);
    sl_buffer_printf(out, "%s[%d,%lld,%llu,%llu,\"", more ? "," : "", partition, (long long)first,
                     (unsigned long long)count, (unsigned long long)sum);
    sl_base64_encode(out, sizes, (size_t)(at - sizes));
    sl_buffer_append_text(out, "\"]");
    return at;
}

static void put_packed(struct sl_buffer *out, enum gw_ledger_kind kind, const struct gw_packed *packed)
{
    const unsigned char *at = (const unsigned char *)packed->runs.data, *end = at + packed->runs.size;
    uint64_t partition, first, count, bytes;
    sl_buffer_append_text(out, ",\"records\":[");
    for (bool more = false; at < end; more = true) {
        gw_number_read(&at, end, &partition);
        gw_number_read(&at, end, &first);
        gw_number_read(&at, end, &count);
        if (kind != GW_LEDGER_SOUGHT) {
            at = put_run(out, (int)partition, (int64_t)first, count, at, end, more);
            continue;
        }
        put_offsets(out, (int)partition, (int64_t)first, count, more);
        for (; count; count--)
            gw_number_read(&at, end, &bytes);
    }
    sl_buffer_append_text(out, "]");
}

static void put_records(struct sl_buffer *out, const struct gw_ledger_event *event)
{
    struct gw_packed packed;
    if (event->packed) {
        put_packed(out, event->kind, event->packed);
        return;
    }
    gw_packed_init(&packed);
    for (size_t i = 0; i < event->count && !out->failed; i++) {
        const struct gw_delivered *record = &event->records[i];
        if (gw_packed_reserve(&packed))
            gw_packed_add(&packed, record->partition, record->offset, record->bytes);
        else
            out->failed = true;
    }
    gw_packed_end(&packed);
    put_packed(out, event->kind, &packed);
    gw_packed_free(&packed);
}

static void put_gaps(struct sl_buffer *out, const struct gw_ledger_event *event)
{
    sl_buffer_append_text(out, ",\"gaps\":[");
    for (size_t i = 0; i < event->gap_count; i++)
        sl_buffer_printf(out, "%s[%d,%lld,%lld]", i ? "," : "", (int)event->gaps[i].partition,
                         (long long)event->gaps[i].first, (long long)event->gaps[i].end);
    sl_buffer_append_text(out, "]");
}

bool gw_ledger_event_encode(struct sl_buffer *out, const char *node, const char *writer,
                            const struct gw_ledger_event *event)
{
    sl_buffer_printf(out, "{\"kind\":\"%s\",\"time\":%lld", kinds[event->kind], (long long)event->at_ms);
    put_text(out, "node", node);
    put_text(out, "writer", writer);
    if (event->number)
        sl_buffer_printf(out, ",\"number\":%lld", (long long)event->number);
    if (event->sequence)
        sl_buffer_printf(out, ",\"sequence\":%lld", (long long)event->sequence);
    put_text(out, "application", event->application);
    put_text(out, "catalog", event->hrn);
    put_text(out, "layer", event->layer);
    put_text(out, "group", event->group);
    put_text(out, "topic", event->topic);
    for (size_t i = 0; i < FIGURES; i++) {
        int64_t value = gw_figure(&event->usage, figures[i]);
        if (value)
            sl_buffer_printf(out, ",\"%s\":%lld", gw_figure_names[figures[i]], (long long)value);
    }
    if (event->count)
        put_records(out, event);
    if (event->gap_count)
        put_gaps(out, event);
    sl_buffer_append_text(out, "}");
    return !out->failed;
}

static bool is_number(const json_t *value, int64_t max)
{
    return json_is_integer(value) && json_integer_value(value) >= 0 && json_integer_value(value) <= max;
}

/* Room for so many records behind those that there are. NULL: no memory. */
static struct gw_delivered *more_records(struct gw_ledger_read *read, size_t count)
{
    struct gw_delivered *records =
        realloc(read->records, (read->event.count + count) * sizeof *read->records);
    if (!records)
        return NULL;
    read->records = records;
    return records + read->event.count;
}

/* As versions before this one wrote them. */
static sl_status take_numbers(struct gw_ledger_read *read, int32_t partition, int64_t first,
                              const json_t *numbers)
{
    size_t count = json_array_size(numbers);
    struct gw_delivered *records = count ? more_records(read, count) : NULL;
    if (!records)
        return count ? SL_OUT_OF_MEMORY : SL_PROTOCOL;
    for (size_t i = 0; i < count; i++)
        records[i] = (struct gw_delivered){first + (int64_t)i, partition,
                                           (uint32_t)json_integer_value(json_array_get(numbers, i))};
    read->event.count += count;
    return SL_OK;
}

/* Numbers up to end, which are so many and add up to bytes. */
static sl_status take_sizes(struct gw_ledger_read *read, int32_t partition, int64_t first, int64_t count,
                            int64_t bytes, const struct sl_buffer *sizes)
{
    const unsigned char *at = (const unsigned char *)sizes->data, *end = at + sizes->size;
    uint64_t size;
    if (!count || (uint64_t)count > sizes->size)
        return SL_PROTOCOL;
    struct gw_delivered *records = more_records(read, (size_t)count);
    if (!records)
        return SL_OUT_OF_MEMORY;
    for (int64_t i = 0; i < count; i++) {
        if (!gw_number_read(&at, end, &size) || size > UINT32_MAX)
            return SL_PROTOCOL;
        records[i] = (struct gw_delivered){first + i, partition, (uint32_t)size};
        bytes -= (int64_t)size;
    }
    if (at != end || bytes)
        return SL_PROTOCOL;
    read->event.count += (size_t)count;
    return SL_OK;
}

static sl_status take_packed(struct gw_ledger_read *read, const struct gw_lift *lift, int32_t partition,
                             int64_t first, const json_t *run)
{
    const json_t *count = json_array_get(run, 2), *bytes = json_array_get(run, 3),
                 *text = json_array_get(run, 4);
    if (!is_number(count, NUMBER_MAX) || !is_number(bytes, NUMBER_MAX) || !json_is_string(text))
        return SL_PROTOCOL;
    struct gw_lifted coded = gw_lift_text(lift, json_string_value(text), json_string_length(text));
    struct sl_buffer sizes;
    sl_buffer_init(&sizes, coded.size);
    bool good = sl_base64_decode(&sizes, coded.at, coded.size);
    sl_status status = good           ? take_sizes(read, partition, first, json_integer_value(count),
                                                   json_integer_value(bytes), &sizes)
                       : sizes.failed ? SL_OUT_OF_MEMORY
                                      : SL_PROTOCOL;
    sl_buffer_free(&sizes);
    return status;
}

static sl_status take_run(struct gw_ledger_read *read, const struct gw_lift *lift, const json_t *run)
{
    const json_t *partition = json_array_get(run, 0), *first = json_array_get(run, 1);
    if (!is_number(partition, INT32_MAX) || !is_number(first, NUMBER_MAX))
        return SL_PROTOCOL;
    int32_t in = (int32_t)json_integer_value(partition);
    int64_t from = json_integer_value(first);
    size_t members = json_array_size(run);
    if (members == 5)
        return take_packed(read, lift, in, from, run);
    if (members == 3)
        return take_numbers(read, in, from, json_array_get(run, 2));
    if (members != 2 || read->event.kind != GW_LEDGER_SOUGHT)
        return SL_PROTOCOL;
    struct gw_delivered *place = more_records(read, 1);
    if (!place)
        return SL_OUT_OF_MEMORY;
    *place = (struct gw_delivered){from, in, 0};
    read->event.count++;
    return SL_OK;
}

static sl_status take_gap(struct gw_ledger_read *read, const json_t *gap)
{
    const json_t *partition = json_array_get(gap, 0), *first = json_array_get(gap, 1),
                 *end = json_array_get(gap, 2);
    if (!is_number(partition, INT32_MAX) || !is_number(first, NUMBER_MAX) || !is_number(end, NUMBER_MAX) ||
        json_integer_value(end) < json_integer_value(first))
        return SL_PROTOCOL;
    struct gw_gap *gaps = realloc(read->gaps, (read->event.gap_count + 1) * sizeof *gaps);
    if (!gaps)
        return SL_OUT_OF_MEMORY;
    read->gaps = gaps;
    gaps[read->event.gap_count++] = (struct gw_gap){json_integer_value(first), json_integer_value(end),
                                                    (int32_t)json_integer_value(partition)};
    return SL_OK;
}

static const char *text_of(const json_t *object, const char *name)
{
    const char *text = json_string_value(json_object_get(object, name));
    return text ? text : "";
}

static sl_status take_event(struct gw_ledger_read *read, const struct gw_lift *lift)
{
    const json_t *object = read->json, *runs = json_object_get(object, "records"),
                 *gaps = json_object_get(object, "gaps");
    struct gw_ledger_event *event = &read->event;
    size_t kind = 0;
    while (kind < KINDS && strcmp(text_of(object, "kind"), kinds[kind]) != 0)
        kind++;
    sl_status status = SL_OK;
    if (kind == KINDS)
        return SL_PROTOCOL;
    event->kind = (enum gw_ledger_kind)kind;
    event->at_ms = json_integer_value(json_object_get(object, "time"));
    event->number = json_integer_value(json_object_get(object, "number"));
    event->sequence = json_integer_value(json_object_get(object, "sequence"));
    if (event->sequence < 0 || event->sequence > NUMBER_MAX)
        return SL_PROTOCOL;
    event->application = text_of(object, "application");
    event->hrn = text_of(object, "catalog");
    event->layer = text_of(object, "layer");
    event->group = text_of(object, "group");
    event->topic = text_of(object, "topic");
    read->node = text_of(object, "node");
    read->writer = text_of(object, "writer");
    for (size_t i = 0; i < FIGURES; i++)
        gw_figure_set(&event->usage, figures[i],
                      json_integer_value(json_object_get(object, gw_figure_names[figures[i]])));
    for (size_t i = 0; i < json_array_size(runs) && !status; i++)
        status = take_run(read, lift, json_array_get(runs, i));
    for (size_t i = 0; i < json_array_size(gaps) && !status; i++)
        status = take_gap(read, json_array_get(gaps, i));
    event->records = read->records;
    event->gaps = read->gaps;
    return status;
}

/* Only gateways do so: one of a later version, if it cannot be read. */
static bool is_signed(const json_t *object)
{
    return *text_of(object, "writer") && json_integer_value(json_object_get(object, "sequence")) > 0;
}

sl_status gw_ledger_event_decode(const char *text, size_t size, struct gw_ledger_read *read)
{
    json_error_t error;
    struct gw_lift lift;
    *read = (struct gw_ledger_read){.json = NULL};
    bool lifted = gw_lift(&lift, text, size);
    if (lifted)
        read->json = json_loadb(lift.json.data, lift.json.size, 0, &error);
    sl_status status = SL_PROTOCOL;
    if (read->json)
        status = take_event(read, &lift);
    else if (!lifted || json_error_code(&error) == json_error_out_of_memory)
        status = SL_OUT_OF_MEMORY;
    gw_lift_free(&lift);
    if (status == SL_PROTOCOL && is_signed(read->json))
        status = SL_UNSUPPORTED;
    if (status)
        gw_ledger_read_free(read);
    return status;
}

void gw_ledger_read_free(struct gw_ledger_read *read)
{
    json_decref(read->json);
    free(read->records);
    free(read->gaps);
    *read = (struct gw_ledger_read){.json = NULL};
}
