#include "gateway/ledger/fold.h"

#include "base/error.h"
#include "gateway/ledger/batch.h"
#include "gateway/ledger/records.h"
#include "gateway/ledger/rows.h"
#include "gateway/store/db.h"

#include <stdlib.h>
#include <string.h>

struct gw_fold {
    struct gw_rows rows;
    bool keep_settled;
    int64_t unconfirmed;
    struct gw_batch *batch;
    struct gw_record_list list, again; /* for reuse */
};

sl_status gw_fold_open(sqlite3 *db, bool keep_settled, struct gw_fold **out, sl_error *error)
{
    *out = NULL;
    struct gw_fold *fold = calloc(1, sizeof *fold);
    if (!fold)
        return sl_error_oom(error);
    fold->keep_settled = keep_settled;
    sl_status status = gw_rows_open(db, &fold->rows, error);
    if (!status)
        status = gw_batch_create(&fold->rows, &fold->batch, error);
    if (!status) /* state < 2: so that it goes by the index of these */
        status = gw_db_run(db, "SELECT count(*) FROM deliveries WHERE state < 2 AND state = 1",
                           gw_db_read_number, &fold->unconfirmed, NULL, error, "");
    if (status)
        gw_fold_close(&fold);
    *out = fold;
    return status;
}

void gw_fold_close(struct gw_fold **out)
{
    struct gw_fold *fold = *out;
    *out = NULL;
    if (!fold)
        return;
    gw_batch_destroy(&fold->batch);
    gw_rows_close(&fold->rows);
    gw_records_free(&fold->list);
    gw_records_free(&fold->again);
    free(fold);
}

/* Adds to the event's hour, or of the application's last one where the clock has gone back. */
static sl_status bill(struct gw_fold *fold, struct gw_ledger_event *event, const struct gw_usage *usage,
                      sl_error *error)
{
    int64_t hour = event->at_ms / GW_HOUR_MS;
    sl_status status = gw_batch_hour(fold->batch, event->application, &hour, error);
    event->hour = hour;
    event->billed = usage->bytes_out + usage->blob_bytes_out;
    return status ? status : gw_batch_bill(fold->batch, event, hour, usage, error);
}

/* The event's records, not marked yet. false: no memory. */
static bool take_records(struct gw_fold *fold, const struct gw_ledger_event *event)
{
    struct gw_record_list *list = &fold->list;
    list->count = 0;
    if (!gw_records_reserve(list, event->count ? event->count : 1))
        return false;
    if (event->count)
        memcpy(list->records, event->records, event->count * sizeof *list->records);
    list->count = event->count;
    return true;
}

/* Marks what counts of a run of records of one partition, and notes that it is counted. Offsets that lie
 * between them are none: Kafka delivers in order. *at: the run's begin, then its end. false: no memory. */
static bool count_run(struct gw_record_list *list, size_t *at, struct gw_ranges *ranges,
                      struct gw_delivery *delivery)
{
    int32_t partition = list->records[*at].partition;
    int64_t first = list->records[*at].offset, last = first;
    size_t to = *at;
    bool all = !ranges->count || ranges->list[ranges->count - 1].end <= first;
    for (; to < list->count && list->records[to].partition == partition && list->records[to].offset >= last;
         to++) {
        last = list->records[to].offset;
        bool counts = all || !gw_ranges_hold(ranges, last);
        list->marks[to] = counts ? GW_RECORD_COUNTED : 0;
        delivery->messages += counts;
        delivery->bytes += counts ? list->records[to].bytes : 0;
    }
    *at = to;
    return gw_ranges_add(ranges, first, last + 1);
}

static sl_status count_records(struct gw_fold *fold, const struct gw_ledger_event *event,
                               struct gw_delivery *delivery, sl_error *error)
{
    struct gw_record_list *list = &fold->list;
    sl_status status = take_records(fold, event) ? SL_OK : sl_error_oom(error);
    for (size_t at = 0; at < list->count && !status;) {
        struct gw_ranges *ranges;
        status = gw_batch_reached(fold->batch, event, list->records[at].partition, &ranges, error);
        if (!status && !count_run(list, &at, ranges, delivery))
            status = sl_error_oom(error);
    }
    for (size_t i = 0; i < event->gap_count && !status; i++) { /* so that ranges become one */
        const struct gw_gap *gap = &event->gaps[i];
        struct gw_ranges *ranges;
        status = gw_batch_reached(fold->batch, event, gap->partition, &ranges, error);
        if (!status && !gw_ranges_add(ranges, gap->first, gap->end))
            status = sl_error_oom(error);
    }
    return status;
}

static sl_status deliver(struct gw_fold *fold, const char *node, const char *writer,
                         struct gw_ledger_event *event, sl_error *error)
{
    struct gw_delivery delivery = {
        .blob_bytes = event->usage.blob_bytes_out, .node = node, .writer = writer, .number = event->number};
    struct gw_usage usage = event->usage;
    sl_status status = count_records(fold, event, &delivery, error);
    delivery.again = (int64_t)event->count - delivery.messages;
    usage.messages_out += delivery.messages;
    usage.bytes_out += delivery.bytes;
    if (!status)
        status = bill(fold, event, &usage, error);
    /* It is listed with the hour that it is billed in, also where the clock has gone back. */
    if (event->at_ms < event->hour * GW_HOUR_MS)
        event->at_ms = event->hour * GW_HOUR_MS;
    if (!status && fold->keep_settled)
        return gw_rows_add_delivery(&fold->rows, event, &delivery, &fold->list, error);
    return status ? status : gw_batch_add_delivery(fold->batch, event, &delivery, &fold->list, error);
}

static int compare(const void *a, const void *b)
{
    const struct gw_delivered *x = a, *y = b;
    if (x->partition != y->partition)
        return x->partition < y->partition ? -1 : 1;
    return x->offset < y->offset ? -1 : x->offset > y->offset;
}

/* Counts anew what the delivery has counted and is not confirmed. */
static void measure(struct gw_delivery *delivery, const struct gw_record_list *list)
{
    delivery->messages = delivery->bytes = delivery->again = 0;
    for (size_t i = 0; i < list->count; i++) {
        if (list->marks[i] == GW_RECORD_COUNTED) {
            delivery->messages++;
            delivery->bytes += list->records[i].bytes;
        }
        delivery->again += !list->marks[i];
    }
}

/* It is done with, as far as the list of unconfirmed ones is concerned. */
static sl_status end(struct gw_fold *fold, struct gw_delivery *delivery, sl_error *error)
{
    fold->unconfirmed -= delivery->state == GW_DELIVERY_UNCONFIRMED;
    if (!fold->keep_settled)
        return gw_rows_remove_delivery(&fold->rows, delivery->id, error);
    delivery->state = GW_DELIVERY_SETTLED;
    return gw_rows_put_delivery(&fold->rows, delivery, NULL, error);
}

/* Takes from an older delivery what is in fold->again, which has arrived now; each record from one delivery
 * only. */
static sl_status confirm_in(struct gw_fold *fold, struct gw_delivery *delivery, sl_error *error)
{
    struct gw_record_list *list = &fold->list, *again = &fold->again;
    bool changed = false;
    for (size_t i = 0; i < list->count; i++) {
        if (list->marks[i] != GW_RECORD_COUNTED)
            continue;
        const struct gw_delivered *found =
            bsearch(&list->records[i], again->records, again->count, sizeof *again->records, compare);
        if (!found || again->marks[found - again->records])
            continue;
        again->marks[found - again->records] = GW_RECORD_CONFIRMED;
        list->marks[i] |= GW_RECORD_CONFIRMED;
        changed = true;
    }
    if (!changed)
        return SL_OK;
    measure(delivery, list);
    bool over = delivery->state == GW_DELIVERY_UNCONFIRMED && !delivery->messages && !delivery->blob_bytes;
    sl_status status = gw_rows_put_delivery(&fold->rows, delivery, list, error);
    return status || !over ? status : end(fold, delivery, error);
}

/* The records of fold->list that were counted before have arrived. The newest delivery of each first: where
 * the application went back, the others are older ones. */
static sl_status confirm(struct gw_fold *fold, const struct gw_delivery *arrived, sl_error *error)
{
    struct gw_record_list *again = &fold->again;
    struct gw_delivery older = {.id = arrived->id};
    if (!gw_records_reserve(again, fold->list.count))
        return sl_error_oom(error);
    again->count = 0;
    for (size_t i = 0; i < fold->list.count; i++)
        if (!fold->list.marks[i])
            again->records[again->count++] = fold->list.records[i];
    memset(again->marks, 0, again->count);
    qsort(again->records, again->count, sizeof *again->records, compare);
    sl_status status;
    bool found = true;
    do {
        status =
            gw_rows_older_delivery(&fold->rows, arrived->id, older.id, &older, &fold->list, &found, error);
        if (!status && found)
            status = confirm_in(fold, &older, error);
    } while (!status && found && memchr(again->marks, 0, again->count)); /* some are in none of those yet */
    return status;
}

static sl_status settle(struct gw_fold *fold, const char *writer, int64_t number, sl_error *error)
{
    struct gw_delivery delivery;
    bool found = false, settled = false;
    if (gw_batch_settle(fold->batch, writer, number))
        return SL_OK;
    sl_status status = gw_batch_flush_deliveries(fold->batch, error);
    if (!status && !fold->keep_settled)
        status = gw_rows_settle(&fold->rows, writer, number, &settled, error);
    if (!status && !settled)
        status = gw_rows_delivery(&fold->rows, writer, number, &delivery, &fold->list, &found, error);
    if (status || !found)
        return status;
    if (delivery.again)
        status = confirm(fold, &delivery, error);
    return status ? status : end(fold, &delivery, error);
}

/* What it has counted is listed from now on; what others had counted stays with those. fold->list: its
 * records. */
static sl_status break_off(struct gw_fold *fold, struct gw_delivery *delivery, sl_error *error)
{
    struct gw_record_list *list = &fold->list;
    size_t kept = 0;
    for (size_t i = 0; i < list->count; i++) {
        if (!list->marks[i])
            continue;
        list->records[kept] = list->records[i];
        list->marks[kept++] = list->marks[i];
    }
    list->count = kept;
    delivery->again = 0;
    delivery->state = GW_DELIVERY_UNCONFIRMED;
    fold->unconfirmed++;
    sl_status status = gw_rows_put_delivery(&fold->rows, delivery, list, error);
    return status || delivery->messages || delivery->blob_bytes ? status : end(fold, delivery, error);
}

static sl_status broken(struct gw_fold *fold, const char *writer, int64_t number, sl_error *error)
{
    struct gw_delivery delivery;
    bool found = false;
    sl_status status = gw_batch_flush_deliveries(fold->batch, error);
    if (!status)
        status = gw_rows_delivery(&fold->rows, writer, number, &delivery, &fold->list, &found, error);
    return status || !found || delivery.state != GW_DELIVERY_OPEN ? status
                                                                  : break_off(fold, &delivery, error);
}

static sl_status begin(struct gw_fold *fold, const char *node, const char *writer, sl_error *error)
{
    struct gw_delivery delivery;
    sl_status status = gw_batch_flush_deliveries(fold->batch, error);
    bool found = !status;
    while (!status && found) {
        status = gw_rows_left_open(&fold->rows, node, writer, &delivery, &fold->list, &found, error);
        if (!status && found)
            status = break_off(fold, &delivery, error);
    }
    return status;
}

static sl_status go_to(struct gw_fold *fold, struct gw_ledger_event *event, sl_error *error)
{
    sl_status status = SL_OK;
    for (size_t i = 0; i < event->count && !status; i++) {
        struct gw_ranges *ranges;
        status = gw_batch_reached(fold->batch, event, event->records[i].partition, &ranges, error);
        if (!status)
            gw_ranges_cut(ranges, event->records[i].offset);
    }
    return status ? status : bill(fold, event, &event->usage, error);
}

sl_status gw_fold_apply(struct gw_fold *fold, const char *node, const char *writer,
                        struct gw_ledger_event *event, sl_error *error)
{
    event->billed = 0;
    switch (event->kind) {
    case GW_LEDGER_USED:
        return bill(fold, event, &event->usage, error);
    case GW_LEDGER_DELIVERED:
        return deliver(fold, node, writer, event, error);
    case GW_LEDGER_SETTLED:
        return settle(fold, writer, event->number, error);
    case GW_LEDGER_BROKEN:
        return broken(fold, writer, event->number, error);
    case GW_LEDGER_SOUGHT:
        return go_to(fold, event, error);
    default:
        return begin(fold, node, writer, error);
    }
}

sl_status gw_fold_take(struct gw_fold *fold, const char *writer, int32_t partition, int64_t sequence,
                       bool *first, sl_error *error)
{
    const struct gw_ledger_event who = {.application = "", .topic = "", .group = writer};
    struct gw_ranges *taken;
    sl_status status = gw_batch_reached(fold->batch, &who, partition, &taken, error);
    if (status)
        return status;
    *first = !gw_ranges_hold(taken, sequence);
    return gw_ranges_add(taken, sequence, sequence + 1) ? SL_OK : sl_error_oom(error);
}

sl_status gw_fold_flush(struct gw_fold *fold, sl_error *error)
{
    return gw_batch_flush(fold->batch, error);
}

int64_t gw_fold_unconfirmed(const struct gw_fold *fold)
{
    return fold->unconfirmed;
}

void gw_fold_roll_back(struct gw_fold *fold, int64_t unconfirmed)
{
    gw_batch_forget(fold->batch);
    fold->unconfirmed = unconfirmed;
}

sl_status gw_fold_forget(struct gw_fold *fold, int64_t before_ms, sl_error *error)
{
    return gw_rows_forget(&fold->rows, before_ms, error);
}
