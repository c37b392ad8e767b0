/*
 * Why subscriptions ended: told to those who waited, and for a while to those who come later. The last
 * ENDED_MAX that a client knew of are remembered, in a ring under a lock of its own.
 */
#include "gateway/broker/subscription.h"

#include "base/error.h"
#include "base/text.h"
#include "base/time.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#define ENDED_MAX 4096

/* One allocation, its texts behind it. */
struct ended {
    const char *application, *layer, *node, *id, *consumer, *text;
};

struct gw_ended_ring {
    pthread_mutex_t lock;
    size_t next; /* place of the oldest, which goes first */
    /* Of application and node, of application and id: looked at before the entry is. 0: no entry. */
    uint64_t nodes[ENDED_MAX], ids[ENDED_MAX];
    struct ended *entries[ENDED_MAX];
};

struct gw_ended_ring *gw_ended_create(void)
{
    struct gw_ended_ring *ring = calloc(1, sizeof *ring);
    if (ring)
        pthread_mutex_init(&ring->lock, NULL);
    return ring;
}

void gw_ended_destroy(struct gw_ended_ring *ring)
{
    for (size_t i = 0; ring && i < ENDED_MAX; i++)
        free(ring->entries[i]);
    if (ring)
        pthread_mutex_destroy(&ring->lock);
    free(ring);
}

/* FNV-1a over both texts and what ends them; never 0. */
static uint64_t key_of(const char *application, const char *name)
{
    uint64_t key = 14695981039346656037u;
    const char *const texts[] = {application, name};
    for (size_t i = 0; i < 2; i++) {
        const char *at = texts[i];
        do
            key = (key ^ (unsigned char)*at) * 1099511628211u;
        while (*at++);
    }
    return key ? key : 1;
}

static struct ended *ended_new(const struct gw_subscription *subscription)
{
    const char *const texts[] = {subscription->application, subscription->layer->key, subscription->node,
                                 subscription->id,          subscription->consumer,   subscription->why};
    size_t size = 0;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        size += strlen(texts[i]) + 1;
    struct ended *entry = malloc(sizeof *entry + size);
    if (!entry)
        return NULL;
    const char **const places[] = {&entry->application, &entry->layer,    &entry->node,
                                   &entry->id,          &entry->consumer, &entry->text};
    char *at = (char *)(entry + 1);
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        size_t length = strlen(texts[i]) + 1;
        memcpy(at, texts[i], length);
        *places[i] = at;
        at += length;
    }
    return entry;
}

/* Without memory nobody is told later. */
static void remember(const struct gw_subscription *subscription)
{
    struct gw_ended_ring *ring = subscription->all->ended;
    struct ended *entry = ended_new(subscription);
    if (!entry)
        return;
    pthread_mutex_lock(&ring->lock);
    size_t place = ring->next;
    ring->next = (place + 1) % ENDED_MAX;
    free(ring->entries[place]);
    ring->entries[place] = entry;
    ring->nodes[place] = key_of(entry->application, entry->node);
    ring->ids[place] = key_of(entry->application, entry->id);
    pthread_mutex_unlock(&ring->lock);
}

/* A node is one subscription's for ever; an id is a client's choice, and good for one layer. */
static bool is_meant(const struct ended *entry, const char *application, const char *layer, const char *node,
                     const char *id, const char *consumer)
{
    if (strcmp(entry->application, application) != 0)
        return false;
    if (node)
        return !strcmp(entry->node, node);
    return !strcmp(entry->id, id) && !strcmp(entry->layer, layer) &&
           (!consumer || !strcmp(entry->consumer, consumer));
}

bool gw_ended_explain(struct gw_ended_ring *ring, const char *application, const char *layer,
                      const char *node, const char *id, const char *consumer, sl_error *error)
{
    if (!node && !id)
        return false;
    const uint64_t key = key_of(application, node ? node : id), *keys = node ? ring->nodes : ring->ids;
    const struct ended *found = NULL;
    pthread_mutex_lock(&ring->lock);
    for (size_t back = 1; back <= ENDED_MAX && !found; back++) {
        size_t place = (ring->next + ENDED_MAX - back) % ENDED_MAX;
        if (keys[place] == key && is_meant(ring->entries[place], application, layer, node, id, consumer))
            found = ring->entries[place];
    }
    if (found)
        sl_error_set(error, SL_NOT_FOUND, "%s", found->text);
    pthread_mutex_unlock(&ring->lock);
    return found != NULL;
}

static const char *seconds_text(int64_t ms, char text[32])
{
    snprintf(text, 32, "%lld s", (long long)(ms + 999) / 1000);
    return text;
}

/* Why, as the end of a sentence; freed by the caller. */
static char *reason_text(const struct gw_subscription *subscription, enum gw_end why, const char *detail)
{
    const struct gw_subscriptions *all = subscription->all;
    char time[32];
    switch (why) {
    case GW_END_UNSUBSCRIBED:
        return sl_strdup("its client ended it");
    case GW_END_IDLE:
        return sl_printf("no call came for %s (streamlayer.gateway.limits.subscription-idle)",
                         seconds_text(all->idle_ms, time));
    case GW_END_UNUSED:
        return sl_printf("no call followed the subscribe for %s", seconds_text(gw_first_call_ms(all), time));
    case GW_END_LOST:
        return sl_printf("its client hung up before an answer was written, and no call came for %s "
                         "(streamlayer.gateway.limits.subscription-lost)",
                         seconds_text(all->lost_ms, time));
    case GW_END_REPLACED:
        return sl_strdup("another subscribe with the same id took its place");
    case GW_END_REVOKED:
        return sl_strdup("its application may not read the layer any more");
    case GW_END_LAYER_DELETED:
        return sl_strdup("the layer was deleted");
    case GW_END_KAFKA:
        return sl_printf("Kafka could not go on with it: %s", detail ? detail : "(no reason given)");
    default:
        return sl_strdup("the gateway could not go on with it");
    }
}

void gw_subscription_note_end(struct gw_subscription *subscription, enum gw_end why, const char *detail)
{
    time_t now = (time_t)(sl_wall_ms() / 1000);
    struct tm parts;
    char when[32] = "an unknown time";
    if (gmtime_r(&now, &parts))
        strftime(when, sizeof when, "%Y-%m-%dT%H:%M:%SZ", &parts);
    subscription->end = why;
    char *reason = reason_text(subscription, why, detail);
    subscription->why = reason ? sl_printf("subscription %s on layer %s ended at %s: %s", subscription->id,
                                           subscription->layer->id, when, reason)
                               : NULL;
    free(reason);
    /* One that never joined, and one whose answer never arrived, no client knows of. */
    if (subscription->why && subscription->phase == GW_JOINED && why != GW_END_STOPPED)
        remember(subscription);
}

bool gw_end_is_told(enum gw_end why)
{
    return why == GW_END_REVOKED || why == GW_END_LAYER_DELETED || why == GW_END_KAFKA ||
           why == GW_END_MEMORY;
}

enum gw_end gw_subscription_ended(const struct gw_subscription *subscription, sl_error *error)
{
    if (atomic_load(&subscription->all->closed)) {
        sl_error_set_retriable(error, SL_CLOSED, "the gateway is being stopped");
        return GW_END_STOPPED;
    }
    sl_error_set(error, SL_NOT_FOUND, "%s", subscription->why ? subscription->why : "the subscription ended");
    return subscription->end;
}

void gw_subscription_abandon(struct gw_subscription *subscription, enum gw_end why)
{
    int none = GW_END_NONE;
    if (!atomic_compare_exchange_strong(&subscription->ending, &none, (int)why))
        return;
    gw_subscription_link(subscription); /* the task's */
    subscription->abandon_task.run = gw_subscription_abandoned;
    gw_loop_post(subscription->loop, &subscription->abandon_task);
}

void gw_subscriptions_end(struct gw_subscriptions *all, const char *application, const char *layer,
                          enum gw_end why)
{
    if (!all)
        return;
    pthread_mutex_lock(&all->lock);
    for (struct gw_subscription *next = all->alive; next; next = next->next_alive)
        if ((!application || !strcmp(next->application, application)) &&
            (!layer || !strcmp(next->layer->key, layer)))
            gw_subscription_abandon(next, why); /* posts only */
    pthread_mutex_unlock(&all->lock);
}
