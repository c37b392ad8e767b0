/* A member's thread: polls, and subscribes anew. */
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/secret.h"
#include "base/text.h"
#include "base/time.h"
#include "client/lookup.h"
#include "connectors/http/consumer.h"

enum {
    PLAIN_ANSWER = 128u << 20,  /* where a poll cannot be told how much it may bring */
    ANSWER_BESIDES = 32u << 20, /* beside the payload that was asked for: keys, headers, one large message */
    FIRST_PAUSE_MS = 20,        /* between empty polls that the platform does not hold */
    LONGEST_PAUSE_MS = 500,
    LOOK_UP_AFTER = 3 /* tries in a row that find no server: perhaps it is elsewhere now */
};

#define RECEIVING "receiving messages"

static void on_done(void *opaque, struct sl_http_response *response)
{
    struct sl_hc_member *member = opaque;
    struct sl_hc_consumer *consumer = member->consumer;
    pthread_mutex_lock(&consumer->lock);
    sl_hc_traffic_count(&consumer->traffic, response);
    member->response = *response;
    memset(&response->body, 0, sizeof response->body); /* taken */
    member->answered = true;
    pthread_cond_broadcast(&consumer->changed);
    pthread_mutex_unlock(&consumer->lock);
}

static sl_status exchange_once(struct sl_hc_member *member, const struct sl_http_request *request,
                               const char *bearer, struct sl_http_response *response, sl_error *error)
{
    struct sl_hc_consumer *consumer = member->consumer;
    struct sl_http_header headers[8];
    struct sl_http_request with = *request;
    if (request->header_count + 2 > sizeof headers / sizeof *headers)
        return sl_error_set(error, SL_INTERNAL, "too many headers");
    for (size_t i = 0; i < request->header_count; i++)
        headers[i] = request->headers[i];
    headers[with.header_count++] = (struct sl_http_header){"Authorization", bearer};
    char correlation[sizeof member->correlation];
    pthread_mutex_lock(&consumer->lock);
    memcpy(correlation, member->correlation, sizeof correlation);
    member->answered = false;
    pthread_mutex_unlock(&consumer->lock);
    if (*correlation)
        headers[with.header_count++] = (struct sl_http_header){"X-Correlation-Id", correlation};
    with.headers = headers;
    sl_status status = sl_http_begin(consumer->client->http, &with, on_done, member, error);
    if (status)
        return status;
    pthread_mutex_lock(&consumer->lock);
    while (!member->answered)
        pthread_cond_wait(&consumer->changed, &consumer->lock);
    *response = member->response;
    memset(&member->response, 0, sizeof member->response);
    pthread_mutex_unlock(&consumer->lock);
    member->unreached = response->unsent ? member->unreached + 1 : 0;
    if (response->status)
        return SL_OK;
    if (response->unsent)
        sl_client_note_unreachable(consumer->client, request->url);
    if (error)
        *error = response->error;
    return response->error.status;
}

sl_status sl_hc_exchange(struct sl_hc_member *member, struct sl_http_request *request,
                         struct sl_http_response *response, sl_error *error)
{
    struct sl_hc_consumer *consumer = member->consumer;
    struct sl_auth *auth = consumer->client->auth;
    memset(response, 0, sizeof *response);
    response->unsent = true; /* until something is */
    char *bearer = NULL;
    sl_status status =
        sl_auth_bearer_until(auth, NULL, INT64_MAX, &consumer->cancelled, &bearer, NULL, error);
    if (!status)
        status = exchange_once(member, request, bearer, response, error);
    if (!status && response->status == 401) {
        char *refused = bearer;
        bearer = NULL;
        sl_http_response_free(response);
        memset(response, 0, sizeof *response);
        response->unsent = true;
        status = sl_auth_bearer_until(auth, refused, INT64_MAX, &consumer->cancelled, &bearer, NULL, error);
        sl_secret_free(&refused);
        if (!status)
            status = exchange_once(member, request, bearer, response, error);
    }
    sl_secret_free(&bearer);
    return status;
}

/* Notes that it goes wrong at present, and when to try again. */
static void note_failure(struct sl_hc_member *member, const sl_error *error, int retry_after_ms)
{
    struct sl_hc_consumer *consumer = member->consumer;
    int64_t now = sl_mono_ms();
    pthread_mutex_lock(&consumer->lock);
    bool closing = consumer->closing;
    if (!member->failing_since_ms)
        member->failing_since_ms = now;
    member->failure = *error;
    member->failures++;
    member->next_poll_ms = now + sl_hc_backoff_ms(&member->backoff, member->failures, retry_after_ms);
    pthread_cond_broadcast(&consumer->changed);
    pthread_mutex_unlock(&consumer->lock);
    if (!closing) /* else its subscription is being ended while it still calls, which is no outage */
        sl_hc_outage_note(&member->outage, &consumer->host.log, RECEIVING, error);
}

static void note_fatal(struct sl_hc_member *member, const sl_error *error)
{
    struct sl_hc_consumer *consumer = member->consumer;
    pthread_mutex_lock(&consumer->lock);
    member->failure = *error;
    member->failure.fatal = true;
    member->failure.retriable = false;
    consumer->fatal = member->failure;
    member->stopped = true;
    pthread_cond_broadcast(&consumer->changed);
    pthread_mutex_unlock(&consumer->lock);
}

void sl_hc_note_gone(struct sl_hc_member *member, unsigned generation)
{
    struct sl_hc_consumer *consumer = member->consumer;
    if (generation != member->generation || member->lost)
        return;
    member->lost = true;
    sl_hc_share_lose(member);
    bool any = false;
    for (size_t i = 0; i < consumer->member_count; i++)
        any |= consumer->members[i].subscription && !consumer->members[i].lost;
    if (!any) { /* nor is what they shared */
        free(consumer->shared);
        consumer->shared = NULL;
    }
    pthread_cond_broadcast(&consumer->changed);
}

/* The subscription is gone, or cannot be trusted: an answer was lost on the way, and its messages with it,
 * for the platform believes them delivered. */
static void note_lost(struct sl_hc_member *member, bool gone, const sl_error *why)
{
    struct sl_hc_consumer *consumer = member->consumer;
    char correlation[sizeof member->correlation];
    pthread_mutex_lock(&consumer->lock);
    memcpy(correlation, member->correlation, sizeof correlation);
    pthread_mutex_unlock(&consumer->lock);
    SL_WARNING(&consumer->host.log,
               "layer %s of %s: %s (%s; last correlation id %s); subscribing anew: messages that are not "
               "committed come again",
               consumer->layer, consumer->hrn,
               gone ? "the subscription is gone" : "the answer to a poll was lost", why->text,
               *correlation ? correlation : "none");
    if (!gone)
        sl_hc_unsubscribe(member, sl_mono_ms() + SL_HC_LEAVING_MS, NULL);
    pthread_mutex_lock(&consumer->lock);
    /* Else who polls would be told for long what kept it from getting on before that. */
    if (member->failure.status)
        sl_error_set_retriable(&member->failure, SL_UNAVAILABLE,
                               "the subscription is gone, and is being made anew: %s", why->text);
    sl_hc_note_gone(member, member->generation);
    pthread_mutex_unlock(&consumer->lock);
}

/* How long to leave the platform alone after an empty answer. It grows. Nothing where the platform has held
 * the poll already. */
static int64_t empty_pause_ms(const struct sl_hc_member *member, int64_t took_ms)
{
    const struct sl_hc_consumer *consumer = member->consumer;
    if (consumer->extended && took_ms >= FIRST_PAUSE_MS)
        return 0;
    int64_t most = consumer->max_wait_ms < LONGEST_PAUSE_MS ? consumer->max_wait_ms : LONGEST_PAUSE_MS;
    int64_t pause_ms = FIRST_PAUSE_MS;
    for (unsigned i = 1; i < member->empties && pause_ms < most; i++)
        pause_ms *= 2;
    return pause_ms <= most || most < FIRST_PAUSE_MS ? pause_ms : most;
}

/* An answer was lost, or cannot be read. A platform of ours is told with each poll how many arrived, and
 * gives the same again; elsewhere only a new subscription does. */
static void note_lost_answer(struct sl_hc_member *member, sl_error *why, int retry_after_ms)
{
    why->retriable = true;
    if (!member->consumer->extended)
        note_lost(member, false, why);
    note_failure(member, why, retry_after_ms);
}

/* What an answer says of the member's partitions, and what it brought. Takes the chunk if SL_OK. */
static sl_status note_chunk(struct sl_hc_member *member, struct sl_hc_chunk *chunk,
                            struct sl_hc_assignment *assignment, int64_t took_ms)
{
    struct sl_hc_consumer *consumer = member->consumer;
    bool moved = false, taken = true;
    pthread_mutex_lock(&consumer->lock);
    if (member->lost) { /* noticed elsewhere, meanwhile */
        sl_hc_chunk_unlink(chunk);
        pthread_mutex_unlock(&consumer->lock);
        return SL_OK;
    }
    if (assignment->number >= 0 && assignment->number != member->assignment.number) {
        moved = true;
        taken = sl_hc_share_assign(member, assignment);
    }
    bool any = chunk != NULL;
    if (any && taken) {
        chunk->member = member;
        if (member->assignment.number < 0)
            sl_hc_share_note(member, chunk);
        taken = sl_hc_queue_add(consumer, chunk);
    }
    if (taken) {
        member->received += any;
        member->empties = any || moved ? 0 : member->empties + 1;
        int64_t pause_ms = any || moved ? 0 : empty_pause_ms(member, took_ms);
        consumer->empty_polls += !any;
        member->failing_since_ms = 0;
        member->failures = 0;
        member->failure.status = SL_OK;
        member->next_poll_ms = pause_ms ? sl_mono_ms() + pause_ms : 0;
        pthread_cond_broadcast(&consumer->changed);
    }
    pthread_mutex_unlock(&consumer->lock);
    if (!taken)
        return SL_OUT_OF_MEMORY;
    sl_hc_outage_over(&member->outage, &consumer->host.log, RECEIVING);
    member->trusted = true;
    return SL_OK;
}

static void take_messages(struct sl_hc_member *member, struct sl_http_response *response, int64_t took_ms)
{
    sl_error error;
    struct sl_hc_chunk *chunk = NULL;
    struct sl_hc_assignment assignment;
    bool cbor = !strncmp(response->content_type, SL_MEDIA_CBOR_SEQ, strlen(SL_MEDIA_CBOR_SEQ));
    sl_status status = sl_hc_assignment_parse(&assignment, response->wanted)
                           ? sl_hc_chunk_read(response, cbor, &chunk, &error)
                           : sl_error_oom(&error);
    sl_hc_note_correlation(member, response);
    if (!status && note_chunk(member, chunk, &assignment, took_ms)) {
        sl_hc_chunk_unlink(chunk);
        status = sl_error_oom(&error);
    }
    if (status)
        note_lost_answer(member, &error, -1);
    sl_hc_assignment_free(&assignment);
}

/* What the platform says beside what it delivers: that a volume is used up, say. It is told once, and again
 * when it says something else; that its figures grow is nothing else. */
static void note_warning(struct sl_hc_member *member, const struct sl_http_response *response)
{
    struct sl_hc_consumer *consumer = member->consumer;
    const char *text;
    size_t size = sl_http_warning(response, &text), kept = 0;
    char warning[sizeof consumer->warning];
    for (size_t i = 0; i < size; i++)
        if (!isdigit((unsigned char)text[i]))
            warning[kept++] = text[i];
    warning[kept] = 0;
    bool throttled = !strncmp(warning, "throttled: ", 11);
    pthread_mutex_lock(&consumer->lock);
    if (consumer->throttled && !size && response->body.size) {
        pthread_mutex_unlock(&consumer->lock); /* what waited: it is throttled until nothing waits */
        return;
    }
    consumer->throttled = throttled;
    bool changed = strcmp(warning, consumer->warning) != 0;
    memcpy(consumer->warning, warning, kept + 1);
    pthread_mutex_unlock(&consumer->lock);
    if (changed && size)
        SL_WARNING(&consumer->host.log, "layer %s of %s: %.*s", consumer->layer, consumer->hrn, (int)size,
                   text);
}

static void take_answer(struct sl_hc_member *member, struct sl_http_response *response, const char *url,
                        int64_t took_ms)
{
    if (response->status == 200) {
        note_warning(member, response);
        take_messages(member, response, took_ms);
        return;
    }
    sl_error error;
    char what[SL_HTTP_DESCRIPTION];
    sl_http_describe("GET", url, what, sizeof what);
    sl_http_error(response, what, &error);
    if (response->status == 404) {
        note_lost(member, true, &error);
        error.retriable = true; /* by subscribing */
        if (!member->trusted)   /* not one poll was answered: not so fast */
            note_failure(member, &error, -1);
    } else if (response->status == 502 || response->status == 504) { /* of something in between */
        note_lost_answer(member, &error, response->retry_after_ms);
    } else if (error.retriable || response->status == 401) {
        note_failure(member, &error, response->retry_after_ms);
    } else {
        note_fatal(member, &error);
    }
}

/* With a further parameter; takes url. */
static char *extended_by(char *url, const char *name, long long value)
{
    char *more = sl_printf("%s&%s=%lld", url, name, value);
    free(url);
    return more;
}

/* Reserves what the poll may bring. */
static char *poll_url(struct sl_hc_member *member, size_t *max_bytes)
{
    struct sl_hc_consumer *consumer = member->consumer;
    pthread_mutex_lock(&consumer->lock);
    char *url = member->subscription ? sl_hc_subscription_url(member, "partitions") : NULL;
    size_t room = sl_hc_queue_room(consumer),
           messages = consumer->prefetch_bytes ? 0 : consumer->asked_messages;
    *max_bytes = member->reserved = room ? room : 1;
    consumer->asked = false;
    consumer->reserved += member->reserved;
    consumer->polls++;
    int64_t assignment = member->assignment.number;
    pthread_mutex_unlock(&consumer->lock);
    if (!url || !consumer->extended)
        return url;
    char *more = sl_printf("%s&maxWaitMs=%lld&maxBytes=%zu&received=%llu", url,
                           (long long)consumer->max_wait_ms, *max_bytes, member->received);
    free(url);
    if (more && messages)
        more = extended_by(more, "maxMessages", (long long)messages);
    return more && assignment >= 0 ? extended_by(more, "assignment", (long long)assignment) : more;
}

static void look_up_again(struct sl_hc_member *member, bool polling);

static void poll_once(struct sl_hc_member *member)
{
    struct sl_hc_consumer *consumer = member->consumer;
    sl_error error;
    size_t max_bytes;
    char *url = poll_url(member, &max_bytes);
    if (!url) {
        sl_error_oom(&error);
        note_failure(member, &error, -1);
        return;
    }
    const struct sl_http_header headers[] = {
        {"Accept", consumer->extended ? SL_MEDIA_CBOR_SEQ : "application/json"}};
    struct sl_http_request request = {
        .method = "GET",
        .url = url,
        .headers = headers,
        .header_count = 1,
        .max_response = consumer->extended ? ANSWER_BESIDES + max_bytes + max_bytes / 2 : PLAIN_ANSWER,
        .timeout_ms = (int)(consumer->request_timeout_ms + (consumer->extended ? consumer->max_wait_ms : 0)),
        .wanted = consumer->extended ? "X-SL-Assignment" : NULL,
        .parked = true,
    };
    struct sl_http_response response;
    int64_t begin_ms = sl_mono_ms();
    sl_status status = sl_hc_exchange(member, &request, &response, &error);
    pthread_mutex_lock(&consumer->lock);
    bool closing = consumer->closing;
    pthread_mutex_unlock(&consumer->lock);
    if (closing) {
        /* What it brought comes again to whoever is next in the group. */
    } else if (!status) {
        take_answer(member, &response, url, sl_mono_ms() - begin_ms);
    } else if (response.unsent) {
        if (!error.retriable) {
            note_fatal(member, &error);
        } else {
            note_failure(member, &error, -1);
            look_up_again(member, true);
        }
    } else {
        note_lost_answer(member, &error, -1);
    }
    sl_http_response_free(&response);
    free(url);
}

/* The server that lookup named is not found any more: perhaps there is another by now. A subscription on the
 * old one is then given up. */
static void look_up_again(struct sl_hc_member *member, bool polling)
{
    struct sl_hc_consumer *consumer = member->consumer;
    if (member->unreached < LOOK_UP_AFTER)
        return;
    char *base = NULL;
    sl_error error;
    if (sl_client_base_url_within(consumer->client, consumer->hrn, "stream", "v2", member,
                                  sl_mono_ms() + consumer->request_timeout_ms, &base, NULL, &error))
        return; /* no server either: the next failure asks again */
    member->unreached = 0;
    pthread_mutex_lock(&consumer->lock);
    bool same = !strcmp(base, consumer->base);
    if (!same) {
        char *before = consumer->base;
        consumer->base = base;
        base = before;
    }
    sl_error why = member->failure;
    pthread_mutex_unlock(&consumer->lock);
    free(base);
    if (polling && !same)
        note_lost(member, true, &why);
}

/* Whether the consumer has other members that go on. Under the lock. */
static bool others_go_on(const struct sl_hc_member *member)
{
    const struct sl_hc_consumer *consumer = member->consumer;
    for (size_t i = 0; i < consumer->member_count; i++)
        if (&consumer->members[i] != member && consumer->members[i].started && !consumer->members[i].stopped)
            return true;
    return false;
}

/* There is no room for one more: a consumer of several members does with fewer. */
static bool retire(struct sl_hc_member *member, const sl_error *error)
{
    struct sl_hc_consumer *consumer = member->consumer;
    pthread_mutex_lock(&consumer->lock);
    bool others = others_go_on(member);
    if (others) {
        member->stopped = true;
        pthread_cond_broadcast(&consumer->changed);
    }
    pthread_mutex_unlock(&consumer->lock);
    if (others)
        SL_INFO(&consumer->host.log, "layer %s of %s: polling with one member less: %s", consumer->layer,
                consumer->hrn, error->text);
    return others;
}

static void subscribe_again(struct sl_hc_member *member)
{
    struct sl_hc_consumer *consumer = member->consumer;
    struct sl_hc_refusal refusal;
    sl_error error;
    look_up_again(member, false);
    sl_status status = sl_hc_subscribe(member, &refusal, &error);
    if (status == SL_OK) {
        if (member->generation > 1)
            SL_INFO(&consumer->host.log, "layer %s of %s: subscribed anew", consumer->layer, consumer->hrn);
        member->trusted = false;
        member->received = 0;
        pthread_mutex_lock(&consumer->lock);
        member->next_poll_ms = 0;
        pthread_mutex_unlock(&consumer->lock);
    } else if (refusal.full && retire(member, &error)) {
        /* the others go on */
    } else if (error.retriable) {
        note_failure(member, &error, refusal.retry_after_ms);
    } else {
        note_fatal(member, &error);
    }
    pthread_mutex_lock(&consumer->lock);
    member->pending = false;
    pthread_cond_broadcast(&consumer->changed);
    pthread_mutex_unlock(&consumer->lock);
}

static void tell_wishes(struct sl_hc_member *member)
{
    sl_error error;
    sl_status status = sl_hc_send_wishes(member, &error);
    if (status == SL_NOT_FOUND)
        return; /* it is subscribed anew */
    if (status && error.retriable)
        note_failure(member, &error, -1);
    else if (status)
        note_fatal(member, &error);
}

enum task { SLEEP, SUBSCRIBE, TELL, POLL };

/* Under the lock. *until: how long to sleep. */
static enum task next_task(const struct sl_hc_member *member, int64_t *until)
{
    const struct sl_hc_consumer *consumer = member->consumer;
    *until = member->next_poll_ms;
    bool due = *until <= sl_mono_ms();
    if (member->lost)
        return due ? SUBSCRIBE : SLEEP;
    *until = INT64_MAX;
    if (consumer->holds || member->wishing || !sl_hc_queue_room(consumer))
        return SLEEP;
    *until =
        member->next_poll_ms > consumer->quiet_until_ms ? member->next_poll_ms : consumer->quiet_until_ms;
    due = *until <= sl_mono_ms();
    return !due ? SLEEP : member->wishes != consumer->wishes ? TELL : POLL;
}

void *sl_hc_fetch(void *opaque)
{
    struct sl_hc_member *member = opaque;
    struct sl_hc_consumer *consumer = member->consumer;
    pthread_mutex_lock(&consumer->lock);
    while (!consumer->closing && !member->stopped && !consumer->fatal.status) {
        int64_t until;
        enum task task = next_task(member, &until);
        if (task == SLEEP) {
            sl_hc_cond_wait(&consumer->changed, &consumer->lock, until);
            continue;
        }
        member->subscribing = task == SUBSCRIBE;
        member->polling = task == POLL;
        pthread_mutex_unlock(&consumer->lock);
        if (task == SUBSCRIBE)
            subscribe_again(member);
        else if (task == TELL)
            tell_wishes(member);
        else
            poll_once(member);
        pthread_mutex_lock(&consumer->lock);
        member->subscribing = member->polling = false;
        consumer->reserved -= member->reserved;
        member->reserved = 0;
        pthread_cond_broadcast(&consumer->changed);
    }
    member->stopped = true;
    pthread_cond_broadcast(&consumer->changed);
    pthread_mutex_unlock(&consumer->lock);
    return NULL;
}
