/* Reading the ledger's topic: what it has goes into ledger.db, with the offsets in the same transaction. */
#include "base/error.h"
#include "base/text.h"
#include "base/time.h"
#include "gateway/ledger/topic_internal.h"

#include <string.h>

#define POLL_MS     100
#define CALL_MS     10000
#define BATCH_BYTES ((size_t)8 << 20)
#define KEEP_MS     INT64_C(3155760000000) /* a hundred years: as good as for ever */
#define OFFSET_NAME "offset of %d"
#define OFFSET_ANY  "begin" /* an operator's word: where the topic begins now, whatever it had before */

/* --- Where it is read on --- */

static sl_status read_offset(const struct gw_ledger_log *log, int partition, int64_t *offset, sl_error *error)
{
    char name[32], known[GW_META_TEXT];
    snprintf(name, sizeof name, OFFSET_NAME, partition);
    sl_status status = gw_ledger_store_meta(&log->ledger->store, name, known, error);
    *offset = 0; /* where there is none yet */
    if (!strcmp(known, OFFSET_ANY))
        *offset = RD_KAFKA_OFFSET_BEGINNING;
    else if (!status && *known && !sl_parse_int(known, 0, INT64_MAX, offset))
        return sl_error_set(error, SL_CHECKSUM_MISMATCH, "%s: its table \"meta\": %s is %.40s",
                            log->ledger->store.path, name, known);
    return status;
}

static sl_status put_offset(const struct gw_ledger_log *log, int partition, int64_t offset, sl_error *error)
{
    char name[32], text[24];
    snprintf(name, sizeof name, OFFSET_NAME, partition);
    snprintf(text, sizeof text, "%lld", (long long)offset);
    return gw_ledger_store_put_meta(&log->ledger->store, name, text, error);
}

/* Reads on where the last transaction ended. */
static sl_status rewind_all(struct gw_ledger_log *log, sl_error *error)
{
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(log->partitions);
    sl_status status = SL_OK;
    for (int i = 0; i < log->partitions && !status; i++)
        status = read_offset(log, i, &rd_kafka_topic_partition_list_add(list, log->topic, i)->offset, error);
    rd_kafka_resp_err_t code = status ? RD_KAFKA_RESP_ERR_NO_ERROR : rd_kafka_assign(log->consumer, list);
    rd_kafka_topic_partition_list_destroy(list);
    return code ? sl_error_set(error, SL_KAFKA, "the topic %s: %s", log->topic, rd_kafka_err2str(code))
                : status;
}

/* --- A transaction --- */

/* What is no event was not written by us: it is passed over, and told. What came before is, too. */
static sl_status fold(struct gw_ledger_log *log, const rd_kafka_message_t *message, sl_error *error)
{
    struct gw_ledger_store *store = &log->ledger->store;
    struct gw_ledger_read *read = &log->reads[log->read_count];
    bool first = true;
    sl_status status = gw_ledger_event_decode(message->payload, message->len, read);
    if (status == SL_OUT_OF_MEMORY)
        return sl_error_oom(error);
    if (status == SL_UNSUPPORTED)
        return sl_error_set(error, SL_UNSUPPORTED,
                            "the topic %s has an event of a later version of the gateway, in partition %d at "
                            "offset %lld: bring this gateway to that version, too",
                            log->topic, (int)message->partition, (long long)message->offset);
    if (status) {
        SL_WARNING(&log->ledger->log,
                   "ledger: the topic %s has what is no event, in partition %d at offset %lld", log->topic,
                   (int)message->partition, (long long)message->offset);
        return SL_OK;
    }
    log->read_count++;
    if (read->event.sequence)
        status = gw_ledger_store_take(store, read->writer, message->partition, read->event.sequence, &first,
                                      error);
    return status || !first ? status
                            : gw_ledger_store_apply(store, read->node, read->writer, &read->event, error);
}

/* Only now: a transaction that is rolled back has counted nothing. */
static void end_reads(struct gw_ledger_log *log, bool committed)
{
    for (size_t i = 0; i < log->read_count; i++) {
        if (committed)
            gw_ledger_store_note(&log->ledger->store, &log->reads[i].event);
        gw_ledger_read_free(&log->reads[i]);
    }
    log->read_count = 0;
}

/* What a message that is no event says of its partition. */
static sl_status look_at(struct gw_ledger_log *log, const rd_kafka_message_t *message, sl_error *error)
{
    int64_t offset;
    switch (message->err) {
    case RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET:
        log->unread[message->partition] = true;
        sl_status status = read_offset(log, message->partition, &offset, error);
        return status ? status
                      : sl_error_set(error, SL_KAFKA,
                                     "the topic %s: its partition %d has no offset %lld, where it is to be "
                                     "read on: events were deleted, or the topic was made anew "
                                     "(docs/marketplace.md, \"A topic that has lost events\")",
                                     log->topic, (int)message->partition, (long long)offset);
    case RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART:
    case RD_KAFKA_RESP_ERR__UNKNOWN_TOPIC:
    case RD_KAFKA_RESP_ERR__UNKNOWN_PARTITION:
    case RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED:
        return sl_error_set(error, SL_KAFKA, "the topic %s cannot be read: %s", log->topic,
                            rd_kafka_err2str(message->err));
    default:
        return SL_OK; /* librdkafka tries again */
    }
}

/* An event, or that there are no more of the partition: it is read to its end. */
static bool is_read(struct gw_ledger_log *log, const rd_kafka_message_t *message)
{
    bool ends = message->err == RD_KAFKA_RESP_ERR__PARTITION_EOF;
    if (ends)
        log->unread[message->partition] = false;
    return ends || !message->err;
}

static sl_status put_offsets(const struct gw_ledger_log *log, const int64_t *ends, sl_error *error)
{
    sl_status status = SL_OK;
    for (int i = 0; i < log->partitions && !status; i++)
        if (ends[i] >= 0)
            status = put_offset(log, i, ends[i], error);
    return status;
}

/* Reads what there is, in one transaction. What it ends at and is no event is the caller's: *message. */
static sl_status fold_batch(struct gw_ledger_log *log, rd_kafka_message_t **message, sl_error *error)
{
    struct gw_ledger_store *store = &log->ledger->store;
    int64_t ends[GW_TOPIC_PARTITIONS_MAX];
    size_t count = 0, bytes = 0;
    for (int i = 0; i < log->partitions; i++)
        ends[i] = -1;
    sl_status status = gw_ledger_store_begin(store, error);
    while (*message && is_read(log, *message)) {
        if (!status && !(*message)->err) {
            status = fold(log, *message, error);
            ends[(*message)->partition] = (*message)->offset + 1;
            bytes += (*message)->len;
            count++;
        }
        rd_kafka_message_destroy(*message);
        bool over = status || count == GW_TOPIC_BATCH || bytes >= BATCH_BYTES;
        *message = over ? NULL : rd_kafka_consumer_poll(log->consumer, 0);
    }
    if (!status)
        status = put_offsets(log, ends, error);
    status = gw_ledger_store_end(store, status, error);
    end_reads(log, !status);
    atomic_fetch_add_explicit(&log->ledger->commits, 1, memory_order_relaxed);
    atomic_store_explicit(&log->ledger->unconfirmed, gw_fold_unconfirmed(store->fold), memory_order_relaxed);
    return status;
}

/* Of what has come: nothing, events, or news of a partition. */
static sl_status read_some(struct gw_ledger_log *log, sl_error *error)
{
    rd_kafka_message_t *message = rd_kafka_consumer_poll(log->consumer, POLL_MS);
    sl_status status = SL_OK;
    if (message && !message->err) {
        status = fold_batch(log, &message, error);
        log->unfolded = status;
    }
    if (message && !is_read(log, message) && !status)
        status = look_at(log, message, error);
    if (message)
        rd_kafka_message_destroy(message);
    return status;
}

/* --- The thread --- */

static void wait_a_while(const struct gw_ledger_log *log)
{
    struct gw_ledger *ledger = log->ledger;
    struct timespec deadline = sl_mono_deadline(sl_mono_ms() + GW_TOPIC_RETRY_MS);
    pthread_mutex_lock(&ledger->lock);
    while (!atomic_load(&log->stopping) &&
           !pthread_cond_timedwait(&ledger->changed, &ledger->lock, &deadline))
        ;
    pthread_mutex_unlock(&ledger->lock);
}

/* The topic, made where there is none. */
static sl_status find_topic(struct gw_ledger_log *log, sl_error *error)
{
    struct gw_topic_facts facts;
    int64_t until_ms = sl_mono_ms() + CALL_MS;
    sl_status status = gw_broker_topic_facts(log->broker, log->topic, until_ms, &facts, error);
    if (status == SL_NOT_FOUND) {
        status = gw_broker_create_topic(log->broker, log->topic, log->partitions, KEEP_MS, until_ms, error);
        if (!status)
            status = gw_broker_topic_facts(log->broker, log->topic, until_ms, &facts, error);
    }
    if (!status && (facts.partitions < 1 || facts.partitions > GW_TOPIC_PARTITIONS_MAX))
        return sl_error_set(error, SL_KAFKA, "the topic %s has %d partitions", log->topic, facts.partitions);
    return status ? status : gw_topic_begin_writing(log, facts.partitions, error);
}

/* Whether all of it is read, as far as is known. What it has and ledger.db has not would be missing in
 * usage, and in volumes. */
static void say_whether_read(struct gw_ledger_log *log, bool *failing, sl_status status,
                             const sl_error *error)
{
    bool fails = status || log->unfolded;
    for (int i = 0; i < log->partitions; i++)
        fails |= log->unread[i];
    if (status)
        gw_ledger_set_part(log->ledger, GW_LEDGER_FOLDING, error);
    else if (!fails && *failing)
        gw_ledger_set_part(log->ledger, GW_LEDGER_FOLDING, NULL);
    *failing = fails;
}

void *gw_topic_read(void *opaque)
{
    struct gw_ledger_log *log = opaque;
    bool found = false, placed = false, failing = true;
    sl_error error;
    pthread_setname_np(pthread_self(), "ledger-reader");
    while (!atomic_load(&log->stopping)) {
        sl_status status = SL_OK;
        if (!found) {
            status = find_topic(log, &error);
            found = !status;
            for (int i = 0; i < log->partitions && found; i++)
                log->unread[i] = true;
        } else if (!placed) {
            status = rewind_all(log, &error);
            placed = !status;
        } else {
            status = read_some(log, &error);
            placed = !status; /* else it is read again, from where the last transaction ended */
        }
        say_whether_read(log, &failing, status, &error);
        if (status)
            wait_a_while(log);
    }
    return NULL;
}
