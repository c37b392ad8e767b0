#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/text.h"
#include "connectors/http/internal.h"

enum { RESULTS_MORE = 64 };

static bool is_retriable(int status)
{
    return status == 408 || status == 429 || (status >= 500 && status != 501);
}

sl_status sl_hc_result_error(const struct sl_result *result, sl_error *error)
{
    if (result->status == 200)
        return SL_OK;
    const struct sl_http_response as_if = {.status = result->status > 0 ? result->status : 500};
    sl_error meant;
    sl_status status = sl_http_error(&as_if, "message", &meant);
    sl_error_set(error, status, "the platform refused the message with %d: %s%s%s%s", result->status,
                 result->text ? result->text : sl_status_text(status), result->code ? " [" : "",
                 result->code ? result->code : "", result->code ? "]" : "");
    error->retriable = is_retriable(result->status);
    error->http_status = result->status;
    return status;
}

/* A platform ends a batch at a record that it cannot read past, or when there are too many: what follows has
 * no result, nothing came of it. In the latter case the last result is no fault of its record's. */
static void note_end(struct sl_hc_answer *answer)
{
    const struct sl_result *last = answer->count ? &answer->results[answer->count - 1] : NULL;
    if (last && last->code && !strcmp(last->code, "too-many-records"))
        answer->count--;
    answer->stopped = answer->count && last->status != 200 && !is_retriable(last->status);
}

static sl_status decode(struct sl_hc_answer *answer, size_t expected, const char *data, size_t size,
                        sl_error *error)
{
    while (answer->count < expected) {
        size_t used = 0;
        const char *why = NULL;
        switch (sl_result_decode(data, size, answer->arena, &answer->results[answer->count], &used, &why)) {
        case SL_DECODED:
            answer->count++;
            data += used;
            size -= used;
            break;
        case SL_DECODE_OOM:
            return sl_error_oom(error);
        case SL_DECODE_MORE:
            note_end(answer);
            sl_error_set_retriable(error, SL_PROTOCOL, "the platform answered %zu %s for %zu %s",
                                   answer->count, sl_plural(answer->count, "result", "results"), expected,
                                   sl_plural(expected, "message", "messages"));
            return SL_PROTOCOL;
        default:
            sl_error_set_retriable(error, SL_PROTOCOL, "the platform's result %zu cannot be read: %s",
                                   answer->count, why ? why : "malformed");
            return SL_PROTOCOL;
        }
    }
    if (size)
        sl_error_set_retriable(error, SL_PROTOCOL, "the platform answered more results than messages");
    return SL_OK; /* what is too many changes nothing about the rest */
}

/* A set of hashes, of a size fixed beforehand. 0 stands for an empty place. */
struct set {
    uint64_t *places;
    size_t mask;
};

static bool set_has(const struct set *set, uint64_t hash, bool add)
{
    hash |= 1;
    for (size_t i = hash & set->mask;; i = (i + 1) & set->mask) {
        if (set->places[i] == hash)
            return true;
        if (!set->places[i]) {
            if (add)
                set->places[i] = hash;
            return false;
        }
    }
}

/*
 * Which messages are sent again: those that failed for a while, and those without a result. Not those behind
 * which a message of the same partition id is written already: sent again they would come after it, so they
 * are reported as failed. Without memory for that look-up nothing that has a result is sent again.
 */
static void choose(struct sl_hc_answer *answer, const struct sl_hc_batch *batch, size_t expected)
{
    bool any = answer->count < expected;
    for (size_t i = 0; i < answer->count; i++)
        any |= is_retriable(answer->results[i].status);
    if (!any)
        return;
    struct set set = {.mask = RESULTS_MORE};
    while (set.mask < 2 * expected)
        set.mask *= 2;
    set.places = calloc(set.mask--, sizeof *set.places);
    for (size_t i = expected; i-- > 0;) {
        uint64_t key = batch->entries[batch->first + i].key;
        if (i >= answer->count)
            answer->again[i] = true;
        else if (!set.places)
            break;
        else if (answer->results[i].status == 200)
            set_has(&set, key, true);
        else
            answer->again[i] = is_retriable(answer->results[i].status) && !set_has(&set, key, false);
        answer->any_again |= answer->again[i];
    }
    free(set.places);
}

sl_status sl_hc_answer_read(struct sl_hc_answer *answer, const struct sl_hc_batch *batch, const void *data,
                            size_t size, sl_error *error)
{
    size_t expected = batch->count - batch->first;
    memset(answer, 0, sizeof *answer);
    answer->arena = sl_arena_create();
    answer->results = calloc(expected + 1, sizeof *answer->results);
    answer->again = calloc(expected + 1, sizeof *answer->again);
    if (!answer->arena || !answer->results || !answer->again)
        return sl_error_oom(error);
    sl_status status = decode(answer, expected, data ? data : "", size, error);
    choose(answer, batch, expected);
    return status;
}

void sl_hc_answer_free(struct sl_hc_answer *answer)
{
    sl_arena_destroy(answer->arena);
    free(answer->results);
    free(answer->again);
}
