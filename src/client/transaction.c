/* Transactions of a producer: begun and ended here, done by the connector. */
#include <stdlib.h>

#include "base/error.h"
#include "base/time.h"
#include "client/consumer.h"
#include "client/producer.h"

static enum sl_transaction_state state_of(const struct sl_producer *producer)
{
    return (enum sl_transaction_state)atomic_load(&producer->transaction);
}

sl_status sl_transaction_admits(const struct sl_producer *producer, sl_error *error)
{
    if (!producer->transactional || state_of(producer) == SL_TRANSACTION_OPEN)
        return SL_OK;
    return sl_error_set(
        error, SL_INVALID_ARGUMENT,
        "this producer writes in transactions, and none is open: call sl_producer_begin first");
}

static sl_status check(const struct sl_producer *producer, sl_error *error)
{
    sl_status status = sl_producer_check(producer, error);
    if (status || producer->transactional)
        return status;
    return sl_error_set(
        error, SL_UNSUPPORTED,
        "this producer was opened without transactions: sl_producer_options_set_transactions names "
        "them, and the kafka-connector has them");
}

static sl_status check_open(const struct sl_producer *producer, sl_error *error)
{
    sl_status status = check(producer, error);
    return status ? status : sl_transaction_admits(producer, error);
}

static unsigned long long failed(struct sl_producer *producer)
{
    pthread_mutex_lock(&producer->lock);
    unsigned long long count = producer->failed;
    pthread_mutex_unlock(&producer->lock);
    return count;
}

sl_status sl_producer_begin(sl_producer *producer, sl_error *error)
{
    sl_status status = check(producer, error);
    if (!status && state_of(producer) != SL_TRANSACTION_NONE)
        status = sl_error_set(error, SL_INVALID_ARGUMENT,
                              "the transaction before is still open: commit or abort it first");
    if (!status)
        status = producer->connector->producer_begin(producer->state, error);
    if (status)
        return status;
    producer->failed_before = failed(producer);
    atomic_store(&producer->transaction, SL_TRANSACTION_OPEN);
    return SL_OK;
}

static sl_status check_consumer(const struct sl_producer *producer, const struct sl_consumer *consumer,
                                sl_error *error)
{
    sl_status status = sl_consumer_check(consumer, error);
    if (status)
        return status;
    if (consumer->connector != producer->connector)
        return sl_error_set(
            error, SL_UNSUPPORTED,
            "the consumer uses the %s: only what the kafka-connector has read can be committed with "
            "a transaction: set " SL_ROOT "stream.connector.consumer = \"kafka-connector\"",
            consumer->connector->name);
    if (consumer->auto_commit)
        return sl_error_set(
            error, SL_INVALID_ARGUMENT,
            "the consumer commits by itself, whatever becomes of the transaction: set " SL_ROOT
            "stream.consumer.auto-commit.enabled = false");
    return SL_OK;
}

sl_status sl_producer_add_offsets(sl_producer *producer, sl_consumer *consumer, const sl_offset *offsets,
                                  size_t count, int timeout_ms, sl_error *error)
{
    sl_status status = check_open(producer, error);
    if (!status)
        status = check_consumer(producer, consumer, error);
    if (!status)
        status = sl_check_offsets("sl_producer_add_offsets", offsets, count, error);
    if (status || !count)
        return status;
    return producer->connector->producer_offsets(producer->state, consumer->state, offsets, count, timeout_ms,
                                                 error);
}

sl_status sl_producer_add_batch(sl_producer *producer, sl_consumer *consumer, const sl_batch *batch,
                                int timeout_ms, sl_error *error)
{
    sl_offset *offsets;
    size_t count;
    sl_status status = sl_last_offsets(batch, &offsets, &count, error);
    if (!status)
        status = sl_producer_add_offsets(producer, consumer, offsets, count, timeout_ms, error);
    free(offsets);
    return status;
}

sl_status sl_producer_commit(sl_producer *producer, int timeout_ms, sl_error *error)
{
    int64_t deadline_ms = sl_deadline_ms(timeout_ms);
    sl_status status = check_open(producer, error);
    if (!status)
        status = sl_producer_flush(producer, timeout_ms, error);
    if (status)
        return status;
    unsigned long long lost = failed(producer) - producer->failed_before;
    if (lost)
        return sl_error_set(
            error, SL_KAFKA,
            "%llu messages of the transaction were not delivered: abort it, and send them again", lost);
    status = producer->connector->producer_end(producer->state, true, sl_remaining_ms(deadline_ms), error);
    if (!status)
        atomic_store(&producer->transaction, SL_TRANSACTION_NONE);
    return status;
}

sl_status sl_producer_abort(sl_producer *producer, int timeout_ms, sl_error *error)
{
    int64_t deadline_ms = sl_deadline_ms(timeout_ms);
    sl_status status = check(producer, error);
    if (!status && state_of(producer) == SL_TRANSACTION_NONE)
        return sl_transaction_admits(producer, error);
    if (!status && state_of(producer) == SL_TRANSACTION_OPEN) {
        status = producer->connector->producer_end(producer->state, false, timeout_ms, error);
        if (!status)
            atomic_store(&producer->transaction, SL_TRANSACTION_ABORTED);
    }
    /* A payload may be on its way to a blob: the message that names it must not get into the next one. */
    if (!status)
        status = sl_producer_flush(producer, sl_remaining_ms(deadline_ms), error);
    if (!status)
        atomic_store(&producer->transaction, SL_TRANSACTION_NONE);
    return status;
}

void sl_transaction_end(struct sl_producer *producer, int timeout_ms)
{
    enum { ENOUGH_MS = 5000 }; /* else it ends by its own time-out */
    if (state_of(producer) == SL_TRANSACTION_OPEN)
        (void)producer->connector->producer_end(
            producer->state, false, timeout_ms < 0 || timeout_ms > ENOUGH_MS ? ENOUGH_MS : timeout_ms, NULL);
}
