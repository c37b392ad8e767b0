#include "gateway/ledger/batch.h"

#include "base/error.h"

#include <stdlib.h>
#include <string.h>

#define LINES      64 /* of each table: then it is flushed */
#define DELIVERIES 64
#define TEXTS      4
#define KEY_MAX    ((size_t)1 << 20)

/* A row by its texts and its number, which are its key. */
struct line {
    uint64_t hash;
    struct sl_buffer key;
    struct gw_ledger_event who; /* texts: within key */
    int64_t number;
    union {
        struct gw_usage usage;
        struct gw_ranges ranges; /* its memory: for reuse */
        int64_t hour;
    };
};

struct table {
    struct line lines[LINES];
    size_t count;
    sl_status (*flush)(struct gw_rows *rows, struct line *line, sl_error *error);
};

struct open_delivery {
    struct sl_buffer key;
    struct gw_ledger_event event;
    struct gw_delivery delivery;
    struct gw_record_list records;
};

struct gw_batch {
    struct gw_rows *rows;
    struct sl_buffer key; /* for reuse */
    struct table usage, reached, hours;
    struct open_delivery *deliveries[DELIVERIES]; /* in their order; those behind the count: for reuse */
    size_t delivery_count;
};

static sl_status flush_usage(struct gw_rows *rows, struct line *line, sl_error *error)
{
    return gw_rows_bill(rows, &line->who, line->number, &line->usage, error);
}

static sl_status flush_reached(struct gw_rows *rows, struct line *line, sl_error *error)
{
    return gw_rows_put_reached(rows, &line->who, (int32_t)line->number, &line->ranges, error);
}

/* What is known of hours is in the table. */
static sl_status flush_hour(struct gw_rows *rows, struct line *line, sl_error *error)
{
    (void)rows, (void)line, (void)error;
    return SL_OK;
}

sl_status gw_batch_create(struct gw_rows *rows, struct gw_batch **out, sl_error *error)
{
    struct gw_batch *batch = *out = calloc(1, sizeof *batch);
    if (!batch)
        return sl_error_oom(error);
    batch->rows = rows;
    batch->usage.flush = flush_usage;
    batch->reached.flush = flush_reached;
    batch->hours.flush = flush_hour;
    sl_buffer_init(&batch->key, KEY_MAX);
    struct table *tables[] = {&batch->usage, &batch->reached, &batch->hours};
    for (size_t i = 0; i < sizeof tables / sizeof *tables; i++)
        for (size_t k = 0; k < LINES; k++)
            sl_buffer_init(&tables[i]->lines[k].key, KEY_MAX);
    return SL_OK;
}

void gw_batch_destroy(struct gw_batch **out)
{
    struct gw_batch *batch = *out;
    *out = NULL;
    if (!batch)
        return;
    struct table *tables[] = {&batch->usage, &batch->reached, &batch->hours};
    for (size_t i = 0; i < sizeof tables / sizeof *tables; i++)
        for (size_t k = 0; k < LINES; k++)
            sl_buffer_free(&tables[i]->lines[k].key);
    for (size_t k = 0; k < LINES; k++)
        gw_ranges_free(&batch->reached.lines[k].ranges);
    for (size_t i = 0; i < DELIVERIES; i++)
        if (batch->deliveries[i]) {
            sl_buffer_free(&batch->deliveries[i]->key);
            gw_records_free(&batch->deliveries[i]->records);
            free(batch->deliveries[i]);
        }
    sl_buffer_free(&batch->key);
    free(batch);
}

/* --- Lines --- */

static uint64_t hash_of(const struct sl_buffer *key, int64_t number)
{
    uint64_t hash = UINT64_C(14695981039346656037) ^ (uint64_t)number; /* FNV-1a */
    for (size_t i = 0; i < key->size; i++)
        hash = (hash ^ (unsigned char)key->data[i]) * UINT64_C(1099511628211);
    return hash;
}

/* Replaces what is in key with the texts, each with its NUL. */
static bool set_key(struct sl_buffer *key, const char *const texts[], size_t count)
{
    bool good = true;
    sl_buffer_reset(key);
    for (size_t i = 0; i < count && good; i++)
        good = sl_buffer_append(key, texts[i], strlen(texts[i]) + 1);
    return good;
}

static const char *next_text(const char **at)
{
    const char *text = *at;
    *at += strlen(text) + 1;
    return text;
}

static sl_status flush(struct gw_batch *batch, struct table *table, sl_error *error)
{
    sl_status status = SL_OK;
    for (size_t i = 0; i < table->count && !status; i++)
        status = table->flush(batch->rows, &table->lines[i], error);
    table->count = 0;
    return status;
}

/* The line, or a new one with its key: *made. */
static sl_status find(struct gw_batch *batch, struct table *table, const char *const texts[], size_t count,
                      int64_t number, struct line **found, bool *made, sl_error *error)
{
    *made = false;
    *found = NULL;
    if (!set_key(&batch->key, texts, count))
        return sl_error_oom(error);
    uint64_t hash = hash_of(&batch->key, number);
    for (size_t i = 0; i < table->count; i++) {
        struct line *line = *found = &table->lines[i];
        if (line->hash == hash && line->number == number && line->key.size == batch->key.size &&
            !memcmp(line->key.data, batch->key.data, batch->key.size))
            return SL_OK;
    }
    sl_status status = table->count == LINES ? flush(batch, table, error) : SL_OK;
    struct line *line = &table->lines[table->count];
    if (!status && !set_key(&line->key, texts, count))
        status = sl_error_oom(error);
    if (status)
        return status;
    *found = line;
    line->hash = hash;
    line->number = number;
    table->count++;
    *made = true;
    return SL_OK;
}

sl_status gw_batch_hour(struct gw_batch *batch, const char *application, int64_t *hour, sl_error *error)
{
    struct line *line;
    bool made;
    sl_status status = find(batch, &batch->hours, &application, 1, 0, &line, &made, error);
    if (status)
        return status;
    if (made || *hour > line->hour) { /* the row is written once an hour */
        line->hour = *hour;
        status = gw_rows_hour(batch->rows, application, &line->hour, error);
    }
    *hour = line->hour;
    return status;
}

sl_status gw_batch_bill(struct gw_batch *batch, const struct gw_ledger_event *event, int64_t hour,
                        const struct gw_usage *usage, sl_error *error)
{
    const char *const texts[TEXTS] = {event->application, event->hrn, event->layer, event->group};
    struct line *line;
    bool made;
    sl_status status = find(batch, &batch->usage, texts, TEXTS, hour, &line, &made, error);
    if (status)
        return status;
    if (made) {
        const char *at = line->key.data;
        line->who = (struct gw_ledger_event){.application = next_text(&at)};
        line->who.hrn = next_text(&at);
        line->who.layer = next_text(&at);
        line->who.group = next_text(&at);
        line->usage = (struct gw_usage){.calls_in = 0};
    }
    gw_usage_add(&line->usage, usage);
    return SL_OK;
}

sl_status gw_batch_reached(struct gw_batch *batch, const struct gw_ledger_event *event, int32_t partition,
                           struct gw_ranges **ranges, sl_error *error)
{
    const char *const texts[] = {event->application, event->topic, event->group};
    struct line *line;
    bool made;
    sl_status status = find(batch, &batch->reached, texts, 3, partition, &line, &made, error);
    if (status)
        return status;
    *ranges = &line->ranges;
    if (made) {
        const char *at = line->key.data;
        line->who = (struct gw_ledger_event){.application = next_text(&at)};
        line->who.topic = next_text(&at);
        line->who.group = next_text(&at);
        status = gw_rows_reached(batch->rows, event, partition, &line->ranges, error);
    }
    return status;
}

/* --- Deliveries --- */

sl_status gw_batch_flush_deliveries(struct gw_batch *batch, sl_error *error)
{
    sl_status status = SL_OK;
    for (size_t i = 0; i < batch->delivery_count && !status; i++) {
        const struct open_delivery *each = batch->deliveries[i];
        status = gw_rows_add_delivery(batch->rows, &each->event, &each->delivery, &each->records, error);
    }
    batch->delivery_count = 0;
    return status;
}

/* The place behind the last one. NULL: no memory. */
static struct open_delivery *place_of(struct gw_batch *batch)
{
    struct open_delivery **place = &batch->deliveries[batch->delivery_count];
    if (!*place && (*place = calloc(1, sizeof **place)))
        sl_buffer_init(&(*place)->key, KEY_MAX);
    return *place;
}

sl_status gw_batch_add_delivery(struct gw_batch *batch, const struct gw_ledger_event *event,
                                const struct gw_delivery *delivery, const struct gw_record_list *records,
                                sl_error *error)
{
    const char *const texts[] = {event->application, event->hrn,     event->layer,    event->group,
                                 event->topic,       delivery->node, delivery->writer};
    sl_status status = batch->delivery_count == DELIVERIES ? gw_batch_flush_deliveries(batch, error) : SL_OK;
    if (status)
        return status;
    struct open_delivery *place = place_of(batch);
    if (!place || !set_key(&place->key, texts, sizeof texts / sizeof *texts) ||
        !gw_records_reserve(&place->records, records->count))
        return sl_error_oom(error);
    const char *at = place->key.data;
    place->event = (struct gw_ledger_event){.at_ms = event->at_ms, .application = next_text(&at)};
    place->event.hrn = next_text(&at);
    place->event.layer = next_text(&at);
    place->event.group = next_text(&at);
    place->event.topic = next_text(&at);
    place->delivery = *delivery;
    place->delivery.node = next_text(&at);
    place->delivery.writer = next_text(&at);
    place->records.count = records->count;
    if (records->count) {
        memcpy(place->records.records, records->records, records->count * sizeof *records->records);
        memcpy(place->records.marks, records->marks, records->count);
    }
    batch->delivery_count++;
    return SL_OK;
}

bool gw_batch_settle(struct gw_batch *batch, const char *writer, int64_t number)
{
    for (size_t i = 0; i < batch->delivery_count; i++) {
        struct open_delivery *each = batch->deliveries[i];
        if (each->delivery.number != number || strcmp(each->delivery.writer, writer) != 0)
            continue;
        if (each->delivery.again)
            return false;
        size_t behind = --batch->delivery_count - i;
        memmove(&batch->deliveries[i], &batch->deliveries[i + 1], behind * sizeof(struct open_delivery *));
        batch->deliveries[batch->delivery_count] = each;
        return true;
    }
    return false;
}

/* --- All --- */

sl_status gw_batch_flush(struct gw_batch *batch, sl_error *error)
{
    sl_status status = flush(batch, &batch->usage, error);
    if (!status)
        status = flush(batch, &batch->reached, error);
    if (!status)
        status = gw_batch_flush_deliveries(batch, error);
    gw_batch_forget(batch);
    return status;
}

void gw_batch_forget(struct gw_batch *batch)
{
    batch->usage.count = batch->reached.count = batch->hours.count = 0;
    batch->delivery_count = 0;
}
