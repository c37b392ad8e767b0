#include "gateway/api/metering.h"

#include "base/array.h"
#include "base/text.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#define UNCOUNTED_CODE    "ledger-unavailable"
#define UNCOUNTED_ACTION  "send again after the time that Retry-After gives; nothing is lost"
#define UNCOUNTED_AFTER_S 1

struct gw_meter {
    struct gw_hold hold; /* first */
    atomic_int references;
    struct gateway *gateway;
    struct gw_request *request; /* NULL: none */
    struct gw_loop *loop;
    struct gw_layer *layer; /* linked */
    char *application, *group;
    enum gw_counted counted;

    struct gw_ledger_entry entry;
    struct gw_ledger_event *events; /* the first is of the layer itself */
    struct gw_layer **layers;       /* of the others, linked */
    size_t event_count;
    struct gw_packed records;
    struct gw_gap *gaps;
    size_t gap_count, gap_capacity;
    void (*written)(void *opaque, bool good);
    void *opaque;
    atomic_bool submitted;
    /* The loop's. */
    bool done, waits, over, received;

    struct gw_ledger_entry following; /* whether it has arrived */
    struct gw_ledger_event follow;
};

static void meter_free(struct gw_meter *meter)
{
    for (size_t i = 1; i < meter->event_count; i++)
        gw_layer_unlink(meter->layers[i]);
    gw_layer_unlink(meter->layer);
    free(meter->layers);
    free(meter->events);
    gw_packed_free(&meter->records);
    free(meter->gaps);
    free(meter->application);
    free(meter->group);
    free(meter);
}

static const struct gw_layer *layer_at(const struct gw_meter *meter, size_t index)
{
    return index ? meter->layers[index] : meter->layer;
}

/* Makes the entry of the events. */
static void fill_entry(struct gw_meter *meter)
{
    for (size_t i = 0; i < meter->event_count; i++) {
        struct gw_ledger_event *event = &meter->events[i];
        const struct gw_layer *layer = layer_at(meter, i);
        event->application = meter->application;
        event->hrn = layer->hrn;
        event->layer = layer->id;
        event->topic = layer->key;
        event->group = i || !meter->group ? "" : meter->group;
        event->usage.calls_in = meter->counted == GW_COUNTED_IN;
        event->usage.calls_out = meter->counted == GW_COUNTED_OUT;
    }
    meter->entry.events = meter->events;
    meter->entry.count = meter->event_count;
    meter->entry.application = meter->application;
}

static void carried(struct gw_ledger_entry *entry)
{
    meter_free((struct gw_meter *)(void *)((char *)entry - offsetof(struct gw_meter, entry)));
}

/* Nobody has the meter any more. What is in the layer is to be counted all the same, and what a group has
 * gone back to counts again: no call, since that has failed. False: there is nothing. */
static bool carry(struct gw_meter *meter)
{
    bool any = false;
    fill_entry(meter);
    for (size_t i = 0; i < meter->event_count; i++) {
        struct gw_usage *usage = &meter->events[i].usage;
        *usage = (struct gw_usage){.messages_in = usage->messages_in, .bytes_in = usage->bytes_in};
        any |= usage->messages_in > 0 || meter->events[i].kind == GW_LEDGER_SOUGHT;
    }
    if (!any)
        return false;
    meter->entry.lazy = true;
    meter->entry.loop = NULL;
    meter->entry.done = carried;
    gw_ledger_submit(meter->gateway->ledger, &meter->entry);
    return true;
}

void gw_meter_unlink(struct gw_meter *meter)
{
    if (!meter || atomic_fetch_sub(&meter->references, 1) > 1)
        return;
    bool written = atomic_load(&meter->submitted) && !meter->entry.status;
    if (written || !carry(meter))
        meter_free(meter);
}

static void followed(struct gw_ledger_entry *entry)
{
    gw_meter_unlink((struct gw_meter *)(void *)((char *)entry - offsetof(struct gw_meter, following)));
}

/* Says what came of a delivery that is written down. */
static void follow(struct gw_meter *meter, bool received)
{
    if (meter->events->kind != GW_LEDGER_DELIVERED)
        return;
    atomic_fetch_add(&meter->references, 1);
    meter->follow = (struct gw_ledger_event){.kind = received ? GW_LEDGER_SETTLED : GW_LEDGER_BROKEN,
                                             .number = meter->events->number};
    meter->following = (struct gw_ledger_entry){.events = &meter->follow,
                                                .count = 1,
                                                .application = meter->application,
                                                .done = followed,
                                                .lazy = true};
    gw_ledger_submit(meter->gateway->ledger, &meter->following);
}

static void hold_back(struct gw_meter *meter)
{
    gw_request_hold_back(meter->request, 503, UNCOUNTED_CODE,
                         "what this call delivers or takes could not be counted, so it is not done",
                         UNCOUNTED_ACTION, UNCOUNTED_AFTER_S);
}

/* The ledger has it, or cannot. On the loop. */
static void entry_done(struct gw_ledger_entry *entry)
{
    struct gw_meter *meter = (struct gw_meter *)(void *)((char *)entry - offsetof(struct gw_meter, entry));
    bool good = !entry->status, over = meter->over;
    meter->done = true;
    if (meter->written) {
        meter->written(meter->opaque, good);
    } else if (meter->waits) {
        meter->waits = false;
        if (good)
            gw_request_let_go(meter->request);
        else
            hold_back(meter);
    }
    if (!good) /* the ledger may have it yet: nothing has left */
        follow(meter, false);
    else if (over)
        follow(meter, meter->received);
    gw_meter_unlink(meter);
}

void gw_meter_submit(struct gw_meter *meter)
{
    if (!meter || atomic_exchange(&meter->submitted, true))
        return;
    fill_entry(meter);
    struct gw_ledger_event *first = meter->events;
    gw_packed_end(&meter->records);
    first->packed = &meter->records;
    first->count = meter->records.count;
    first->gaps = meter->gaps;
    first->gap_count = meter->gap_count;
    if (first->kind == GW_LEDGER_USED && (first->count || first->usage.blob_bytes_out))
        first->kind = GW_LEDGER_DELIVERED;
    atomic_fetch_add(&meter->references, 1);
    meter->entry.loop = meter->loop;
    meter->entry.done = entry_done;
    gw_ledger_submit(meter->gateway->ledger, &meter->entry);
}

static bool answered(struct gw_hold *hold)
{
    struct gw_meter *meter = (struct gw_meter *)(void *)hold;
    gw_meter_submit(meter);
    if (meter->done && !meter->entry.status)
        return true;
    if (meter->done)
        hold_back(meter);
    else
        meter->waits = true;
    return false;
}

static void over(struct gw_hold *hold, bool received)
{
    struct gw_meter *meter = (struct gw_meter *)(void *)hold;
    meter->over = true;
    meter->received = received;
    meter->request = NULL;
    if (meter->done && !meter->entry.status)
        follow(meter, received);
    gw_meter_unlink(meter);
}

static struct gw_meter *meter_new(struct gateway *gateway, struct gw_loop *loop, const char *application,
                                  struct gw_layer *layer)
{
    struct gw_meter *meter = calloc(1, sizeof *meter);
    if (!meter)
        return NULL;
    meter->hold.answered = answered;
    meter->hold.over = over;
    meter->references = 1;
    meter->gateway = gateway;
    meter->loop = loop;
    meter->layer = gw_layer_link(layer);
    gw_packed_init(&meter->records);
    meter->application = sl_strdup(application);
    meter->events = calloc(1, sizeof *meter->events);
    meter->event_count = meter->events ? 1 : 0;
    if (meter->application && meter->events)
        return meter;
    meter_free(meter);
    return NULL;
}

struct gw_meter *gw_meter_like(const struct gw_meter *meter)
{
    return meter_new(meter->gateway, meter->loop, meter->application, meter->layer);
}

void gw_respond_uncounted(struct gw_request *request, const char *why)
{
    char cause[GW_LEDGER_WHY + 100];
    bool operates = gw_request_may(request, GW_ACCESS_ADMIN);
    snprintf(cause, sizeof cause, "the Marketplace's ledger cannot be written, so nothing can be counted: %s",
             operates ? why : "the gateway's log says why");
    gw_respond_error_after(request, 503, UNCOUNTED_CODE, cause, UNCOUNTED_ACTION, UNCOUNTED_AFTER_S);
}

bool gw_meter_begin(struct gw_request *request, struct gw_layer *layer)
{
    struct gateway *gateway = gw_request_opaque(request);
    enum gw_counted counted = (enum gw_counted)gw_request_route(request)->counted;
    char why[GW_LEDGER_WHY];
    if (!layer->marketplace || counted == GW_COUNTED_NOT || gw_request_held(request))
        return true;
    if (!gw_ledger_available(gateway->ledger, why)) {
        gw_ledger_count_refused(gateway->ledger);
        gw_respond_uncounted(request, why);
        return false;
    }
    struct gw_meter *meter =
        meter_new(gateway, gw_request_loop(request), gw_request_application(request), layer);
    if (!meter) {
        gw_respond_error(request, 503, "out-of-memory", "the gateway is out of memory", "send again later");
        return false;
    }
    meter->request = request;
    meter->counted = counted;
    gw_request_hold(request, &meter->hold);
    return true;
}

struct gw_meter *gw_request_meter(struct gw_request *request)
{
    struct gw_meter *meter = (struct gw_meter *)(void *)gw_request_held(request);
    if (meter)
        atomic_fetch_add(&meter->references, 1);
    return meter;
}

/* The event of that layer; a new one where it is another than the meter's. NULL: no memory. */
static struct gw_ledger_event *event_of(struct gw_meter *meter, const struct gw_layer *layer)
{
    for (size_t i = 0; i < meter->event_count; i++)
        if (!strcmp(layer_at(meter, i)->key, layer->key))
            return &meter->events[i];
    size_t count = meter->event_count + 1;
    struct gw_layer **layers = realloc(meter->layers, count * sizeof(struct gw_layer *));
    if (layers)
        meter->layers = layers;
    struct gw_ledger_event *events = layers ? realloc(meter->events, count * sizeof *events) : NULL;
    if (!events)
        return NULL;
    meter->events = events;
    meter->layers[count - 1] = gw_layer_link((struct gw_layer *)(uintptr_t)layer);
    events[count - 1] = (struct gw_ledger_event){.kind = GW_LEDGER_USED};
    meter->event_count = count;
    return &events[count - 1];
}

void gw_meter_in(struct gw_meter *meter, const struct gw_layer *layer, int64_t messages, int64_t bytes)
{
    struct gw_ledger_event *event = meter ? event_of(meter, layer) : NULL;
    if (!event) /* without memory for its own it counts with the first layer's */
        event = meter ? meter->events : NULL;
    if (!event)
        return;
    event->usage.messages_in += messages;
    event->usage.bytes_in += bytes;
}

void gw_meter_blob_in(struct gw_meter *meter, int64_t bytes)
{
    if (meter)
        meter->events->usage.blob_bytes_in += bytes;
}

void gw_meter_blob_out(struct gw_meter *meter, int64_t bytes)
{
    if (meter)
        meter->events->usage.blob_bytes_out += bytes;
}

void gw_meter_group(struct gw_meter *meter, const char *group)
{
    size_t prefix = meter ? strlen(meter->application) : 0;
    if (!meter || meter->group)
        return;
    if (!strncmp(group, meter->application, prefix) && group[prefix] == '.')
        group += prefix + 1;
    meter->group = sl_strdup(group); /* without memory: no group's */
}

struct gw_packed *gw_meter_records(struct gw_meter *meter)
{
    return meter ? &meter->records : NULL;
}

void gw_meter_nothing_since(struct gw_meter *meter, sl_offset offset, int64_t since)
{
    /* Of records that follow each other in an answer it is known. */
    if (meter->records.count && meter->records.partition == offset.partition)
        return;
    if (sl_array_reserve((void **)&meter->gaps, meter->gap_count, &meter->gap_capacity, sizeof *meter->gaps))
        meter->gaps[meter->gap_count++] = (struct gw_gap){since, offset.offset, offset.partition};
}

bool gw_meter_reserve(struct gw_meter *meter)
{
    return !meter || gw_packed_reserve(&meter->records);
}

bool gw_meter_seek(struct gw_meter *meter, sl_offset offset)
{
    if (!meter)
        return true;
    if (!gw_meter_reserve(meter))
        return false;
    meter->events->kind = GW_LEDGER_SOUGHT;
    gw_packed_add(&meter->records, offset.partition, offset.offset, 0);
    return true;
}

void gw_meter_submit_to(struct gw_meter *meter, void (*written)(void *opaque, bool good), void *opaque)
{
    meter->written = written;
    meter->opaque = opaque;
    gw_meter_submit(meter);
}

void gw_meter_settle(struct gw_meter *meter, bool received)
{
    if (meter && meter->done && !meter->entry.status)
        follow(meter, received);
}
