#include "client/statistics.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/time.h"

struct sl_reporter {
    pthread_t thread;
    int interval_ms;
    sl_statistics_source source;
    const void *owner;
    sl_statistics_callback callback;
    void *opaque;
    pthread_mutex_t lock; /* of stopping */
    pthread_cond_t changed;
    bool stopping;
};

/* Waits for the next time; false: there is none any more. */
static bool wait_until(struct sl_reporter *reporter, int64_t due_ms)
{
    struct timespec due = sl_mono_deadline(due_ms);
    pthread_mutex_lock(&reporter->lock);
    while (!reporter->stopping && sl_mono_ms() < due_ms)
        pthread_cond_timedwait(&reporter->changed, &reporter->lock, &due);
    bool go_on = !reporter->stopping;
    pthread_mutex_unlock(&reporter->lock);
    return go_on;
}

static void *run(void *opaque)
{
    struct sl_reporter *reporter = opaque;
    int64_t due = sl_mono_ms() + reporter->interval_ms;
    while (wait_until(reporter, due)) {
        char *json = NULL;
        if (!reporter->source(reporter->owner, &json, NULL)) /* without memory this one is left out */
            reporter->callback(reporter->opaque, json, strlen(json));
        free(json);
        /* A callback that takes longer than the interval makes none up. */
        int64_t now = sl_mono_ms();
        due += reporter->interval_ms;
        if (due < now)
            due = now + reporter->interval_ms;
    }
    return NULL;
}

static void reporter_free(struct sl_reporter *reporter)
{
    pthread_cond_destroy(&reporter->changed);
    pthread_mutex_destroy(&reporter->lock);
    free(reporter);
}

sl_status sl_reporter_start(int interval_ms, sl_statistics_source source, const void *owner,
                            sl_statistics_callback callback, void *opaque, struct sl_reporter **reporter,
                            sl_error *error)
{
    struct sl_reporter *made = calloc(1, sizeof *made);
    if (!made)
        return sl_error_oom(error);
    made->interval_ms = interval_ms;
    made->source = source;
    made->owner = owner;
    made->callback = callback;
    made->opaque = opaque;
    pthread_mutex_init(&made->lock, NULL);
    sl_cond_init(&made->changed);
    int failed = pthread_create(&made->thread, NULL, run, made);
    if (failed) {
        reporter_free(made);
        return sl_error_set(error, SL_OUT_OF_MEMORY, "no thread for the statistics: %s",
                            sl_errno_text(failed));
    }
    *reporter = made;
    return SL_OK;
}

void sl_reporter_stop(struct sl_reporter **reporter)
{
    struct sl_reporter *gone = *reporter;
    *reporter = NULL;
    if (!gone)
        return;
    pthread_mutex_lock(&gone->lock);
    gone->stopping = true;
    pthread_cond_signal(&gone->changed);
    pthread_mutex_unlock(&gone->lock);
    pthread_join(gone->thread, NULL);
    reporter_free(gone);
}

sl_status sl_statistics_finish(json_t *fields, const struct sl_buffer *connector, char **json,
                               sl_error *error)
{
    *json = NULL;
    char *text = fields ? json_dumps(fields, JSON_COMPACT) : NULL;
    json_decref(fields);
    if (!text)
        return sl_error_oom(error);
    if (connector && connector->failed) {
        free(text);
        return sl_error_oom(error);
    }
    if (!connector || !connector->size) {
        *json = text;
        return SL_OK;
    }
    struct sl_buffer whole;
    sl_buffer_init(&whole, SIZE_MAX / 2);
    sl_buffer_append(&whole, text, strlen(text) - 1); /* without the brace at its end */
    free(text);
    sl_buffer_append_text(&whole, ",\"connectorStatistics\":");
    sl_buffer_append(&whole, connector->data, connector->size);
    sl_buffer_append_text(&whole, "}");
    *json = sl_buffer_take(&whole);
    sl_buffer_free(&whole);
    return *json ? SL_OK : sl_error_oom(error);
}
