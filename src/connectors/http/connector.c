/*
 * http-connector: stream layers by way of a gateway. It speaks the platform's published HTTP API, and the
 * extensions of ours (batches, long polls, CBOR) where lookup says that the platform has them.
 */
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/text.h"
#include "base/time.h"
#include "connectors/http/consumer.h"
#include "connectors/http/internal.h"

char *sl_hc_layer_url(const char *base, const char *layer, const char *tail)
{
    struct sl_buffer url;
    sl_buffer_init(&url, 8192);
    sl_buffer_append_text(&url, base);
    sl_buffer_append_text(&url, "/layers/");
    sl_percent_encode(&url, layer, strlen(layer));
    sl_buffer_append_text(&url, tail);
    return sl_buffer_take(&url);
}

sl_status sl_hc_backoff_init(struct sl_hc_backoff *backoff, const sl_config *config, sl_error *error)
{
    sl_status status = sl_config_duration_ms(config, SL_ROOT "http.retry.backoff", &backoff->first_ms, error);
    if (!status)
        status = sl_config_duration_ms(config, SL_ROOT "http.retry.max-backoff", &backoff->most_ms, error);
    backoff->random = ((uint64_t)sl_wall_ms() << 20 ^ (uint64_t)(uintptr_t)backoff) | 1;
    return status;
}

int64_t sl_hc_backoff_ms(struct sl_hc_backoff *backoff, unsigned failures, int retry_after_ms)
{
    int64_t span = backoff->first_ms;
    for (unsigned i = 1; i < failures && span < backoff->most_ms; i++)
        span *= 2;
    if (span > backoff->most_ms)
        span = backoff->most_ms;
    backoff->random ^= backoff->random << 13;
    backoff->random ^= backoff->random >> 7;
    backoff->random ^= backoff->random << 17;
    span = span / 2 + (int64_t)(backoff->random % (uint64_t)(span / 2 + 1));
    return retry_after_ms > span ? retry_after_ms : span;
}

void sl_hc_cond_wait(pthread_cond_t *condition, pthread_mutex_t *lock, int64_t deadline_ms)
{
    if (deadline_ms == INT64_MAX) {
        pthread_cond_wait(condition, lock);
        return;
    }
    struct timespec deadline = sl_mono_deadline(deadline_ms);
    pthread_cond_timedwait(condition, lock, &deadline);
}

const struct sl_connector sl_http_connector = {
    .magic = SL_CONNECTOR_MAGIC,
    .abi = SL_CONNECTOR_ABI,
    .size = sizeof(struct sl_connector),
    .name = "http-connector",
    .direct = false,
    .max_payload = SL_HC_LARGEST,
    .producer_open = sl_hc_producer_open,
    .producer_carries = sl_hc_producer_carries,
    .producer_send = sl_hc_producer_send,
    .producer_close = sl_hc_producer_close,
    .consumer_open = sl_hc_consumer_open,
    .consumer_poll = sl_hc_consumer_poll,
    .consumer_commit = sl_hc_consumer_commit,
    .consumer_commit_now = sl_hc_consumer_commit_now,
    .consumer_seek = sl_hc_consumer_seek,
    .consumer_seek_to = sl_hc_consumer_seek_to,
    .consumer_seek_time = sl_hc_consumer_seek_time,
    .consumer_pause = sl_hc_consumer_pause,
    .consumer_positions = sl_hc_consumer_positions,
    .producer_statistics = sl_hc_producer_statistics,
    .consumer_statistics = sl_hc_consumer_statistics,
    .consumer_group = sl_hc_consumer_group,
    .consumer_close = sl_hc_consumer_close,
};
