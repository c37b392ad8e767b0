/*
 * Events as the ledger's topic has them: JSON, so that any consumer can add them up. Records are
 * [[partition, first offset, [bytes, …]], …]: runs of consecutive offsets. Gaps are [[partition, first
 * offset, offset behind the last], …].
 */
#include "gateway/ledger/internal.h"
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

static void put_records(struct sl_buffer *out, const struct gw_ledger_event *event)
{
    sl_buffer_append_text(out, ",\"records\":[");
    for (size_t i = 0, run; i < event->count; i += run) {
        const struct gw_delivered *first = &event->records[i];
        sl_buffer_printf(out, "%s[%d,%lld,[%u", i ? "," : "", (int)first->partition, (long long)first->offset,
                         (unsigned)first->bytes);
        run = gw_run_length(first, NULL, event->count - i);
        for (size_t k = 1; k < run; k++)
            sl_buffer_printf(out, ",%u", (unsigned)first[k].bytes);
        sl_buffer_append_text(out, "]]");
    }
    sl_buffer_append_text(out, "]");
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

static sl_status take_run(struct gw_ledger_read *read, const json_t *run)
{
    const json_t *partition = json_array_get(run, 0), *first = json_array_get(run, 1),
                 *sizes = json_array_get(run, 2);
    size_t count = json_array_size(sizes);
    if (!is_number(partition, INT32_MAX) || !is_number(first, NUMBER_MAX) || !count)
        return SL_PROTOCOL;
    struct gw_delivered *records =
        realloc(read->records, (read->event.count + count) * sizeof *read->records);
    if (!records)
        return SL_OUT_OF_MEMORY;
    read->records = records;
    for (size_t i = 0; i < count; i++)
        records[read->event.count++] = (struct gw_delivered){
            json_integer_value(first) + (json_int_t)i, (int32_t)json_integer_value(partition),
            (uint32_t)json_integer_value(json_array_get(sizes, i))};
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

static sl_status take_event(struct gw_ledger_read *read)
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
        status = take_run(read, json_array_get(runs, i));
    for (size_t i = 0; i < json_array_size(gaps) && !status; i++)
        status = take_gap(read, json_array_get(gaps, i));
    event->records = read->records;
    event->gaps = read->gaps;
    return status;
}

sl_status gw_ledger_event_decode(const char *text, size_t size, struct gw_ledger_read *read)
{
    json_error_t error;
    *read = (struct gw_ledger_read){.json = json_loadb(text, size, 0, &error)};
    sl_status status = read->json                                            ? take_event(read)
                       : json_error_code(&error) == json_error_out_of_memory ? SL_OUT_OF_MEMORY
                                                                             : SL_PROTOCOL;
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
