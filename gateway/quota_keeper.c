#include "gateway/quota_keeper.h"

#include "base/error.h"
#include "base/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PRINCIPAL_MAX 1024

/* Until it is known who is there, HTTP keeps to what it has when all are. */
static void begin_low(void *opaque, const struct gw_layer *layer)
{
    const struct gw_quota_keeper *quotas = opaque;
    int http = quotas->share < 90 ? 1000 - 10 * quotas->share : 100;
    if (!strcmp(layer->cluster, gw_broker_cluster(quotas->broker)))
        gw_layer_set_http_part(layer, http, http);
}

void gw_quotas_init(struct gw_quota_keeper *quotas, struct gateway *gateway, struct gw_broker *broker)
{
    quotas->gateway = gateway;
    quotas->broker = broker;
    pthread_mutex_init(&quotas->lock, NULL);
    if (gw_broker_keeps_quotas(broker, &quotas->share, &quotas->least_out))
        gw_catalogs_each_layer(gateway->catalogs, begin_low, quotas);
}

void gw_quotas_free(struct gw_quota_keeper *quotas)
{
    pthread_mutex_destroy(&quotas->lock);
    gw_quota_set_free(&quotas->asked);
    gw_quota_set_free(&quotas->known);
}

/* --- Who has asked --- */

/* In the members in and out of who has asked: since the last pass looked, and before. What is fresh is not
 * forgotten: the grant may have come after the pass began. */
enum { BEFORE = 1, FRESH = 2 };

/* Under lock. True: it was not known. */
static bool note_asked(struct gw_quota_set *asked, const char *user, const char *client, bool in, bool out)
{
    struct gw_quota *there = (struct gw_quota *)(uintptr_t)gw_quota_find(asked, user, client);
    if (there) {
        bool news = (in && there->in == 0) || (out && there->out == 0);
        there->in = in ? FRESH : there->in;
        there->out = out ? FRESH : there->out;
        return news;
    }
    const struct gw_quota one = {user, client, in ? FRESH : 0, out ? FRESH : 0};
    gw_quota_set_insert(asked, &one);
    asked->failed = false; /* without memory it is asked for again, and is slow until then */
    return true;
}

bool gw_quotas_ask(struct gw_quota_keeper *quotas, const char *user, const char *topic, bool in, bool out)
{
    char client[GW_QUOTA_CLIENT_MAX];
    if (!quotas->share || (!in && !out))
        return false;
    gw_quota_client(topic, client);
    pthread_mutex_lock(&quotas->lock);
    bool news = note_asked(&quotas->asked, user, client, in, out);
    pthread_mutex_unlock(&quotas->lock);
    return news;
}

static void principal_of(const struct gw_quota *quota, char out[PRINCIPAL_MAX])
{
    snprintf(out, PRINCIPAL_MAX, GW_ACL_USER "%s", quota->user);
}

static bool may(const struct gw_acl_picture *picture, const struct gw_quota *asked,
                enum gw_acl_operation operation)
{
    char principal[PRINCIPAL_MAX];
    principal_of(asked, principal);
    const struct gw_acl acl = {.principal = principal,
                               .resource = GW_ACL_TOPIC,
                               .name = asked->client + sizeof GW_QUOTA_CLIENT_PREFIX - 1,
                               .operation = operation,
                               .allow = true,
                               .host = "*"};
    return gw_acl_set_has(&picture->desired, &acl);
}

/* Copies who has asked; those who had before, and have the right no more, are forgotten. */
static void take_asked(struct gw_quota_keeper *quotas, const struct gw_acl_picture *picture,
                       struct gw_quota_set *out)
{
    struct gw_quota_set *asked = &quotas->asked;
    pthread_mutex_lock(&quotas->lock);
    for (size_t i = 0; i < asked->count; i++) {
        struct gw_quota *one = &asked->list[i];
        one->in = one->in == FRESH || (one->in != 0 && may(picture, one, GW_ACL_WRITE)) ? BEFORE : 0;
        one->out = one->out == FRESH || (one->out != 0 && may(picture, one, GW_ACL_READ)) ? BEFORE : 0;
    }
    gw_quota_set_prune(asked);
    for (size_t i = 0; i < asked->count; i++)
        gw_quota_set_add(out, &asked->list[i]);
    pthread_mutex_unlock(&quotas->lock);
    gw_quota_set_finish(out);
}

/* --- What is there --- */

static bool is_layers(const struct gw_quota *quota)
{
    return quota->client &&
           !strncmp(quota->client, GW_QUOTA_CLIENT_PREFIX, sizeof GW_QUOTA_CLIENT_PREFIX - 1);
}

static bool is_application(const struct gw_acl_picture *picture, const struct gw_quota *quota)
{
    char principal[PRINCIPAL_MAX];
    principal_of(quota, principal);
    return gw_acl_picture_principal(picture, principal);
}

/* What an application had may outlive its lists, by which it is known, by one pass. */
static bool was_application(const struct gw_quota *quota)
{
    return gw_acl_is_application_id(quota->user, "");
}

static sl_status look(struct gw_quota_keeper *quotas, struct gw_control *control,
                      const struct gw_acl_picture *picture, int64_t until_ms,
                      struct gw_quota_difference *difference, sl_error *error)
{
    struct gw_quota_set there = {0}, ours = {0};
    sl_status status = gw_broker_size(control, until_ms, &quotas->brokers, error);
    if (!status)
        status = gw_broker_quotas(control, until_ms, &there, error);
    if (status)
        return status;
    for (size_t i = 0; i < there.count; i++) {
        const struct gw_quota *quota = &there.list[i];
        bool form = !quota->client || is_layers(quota), is = is_application(picture, quota);
        if (form && (is || was_application(quota)))
            gw_quota_set_add(&ours, quota);
        else if (is)
            gw_quota_set_add(&difference->beyond, quota);
    }
    gw_quota_set_free(&there);
    gw_quota_set_finish(&ours);
    gw_quota_set_finish(&difference->beyond);
    if (ours.failed || difference->beyond.failed) {
        gw_quota_set_free(&ours);
        return sl_error_oom(error);
    }
    gw_quota_set_free(&quotas->known);
    quotas->known = ours;
    quotas->looked = true;
    if (!quotas->ever) {
        pthread_mutex_lock(&quotas->lock);
        for (size_t i = 0; i < ours.count; i++)
            if (ours.list[i].client)
                note_asked(&quotas->asked, ours.list[i].user, ours.list[i].client, ours.list[i].in != 0,
                           ours.list[i].out != 0);
        pthread_mutex_unlock(&quotas->lock);
        quotas->ever = true;
    }
    return SL_OK;
}

/* --- Comparing --- */

/* The topics that are divided. Their layers are the picture's. */
static sl_status list_topics(const struct gw_acl_picture *picture, struct gw_quota_difference *difference,
                             sl_error *error)
{
    difference->topics = calloc(picture->topic_count ? picture->topic_count : 1, sizeof *difference->topics);
    if (!difference->topics)
        return sl_error_oom(error);
    for (size_t i = 0; i < picture->topic_count; i++) {
        const struct gw_layer *layer = picture->topics[i].layer;
        if (layer)
            difference->topics[difference->topic_count++] =
                (struct gw_quota_topic){.name = picture->topics[i].name,
                                        .in = (int64_t)layer->in_kbps * 1024,
                                        .out = (int64_t)layer->out_kbps * 1024,
                                        .http_in = 1000,
                                        .http_out = 1000};
    }
    return SL_OK;
}

/* What of one is not so in other. */
static void add_differing(struct gw_quota_set *out, const struct gw_quota_set *one,
                          const struct gw_quota_set *other)
{
    for (size_t i = 0; i < one->count; i++) {
        struct gw_quota quota = one->list[i];
        const struct gw_quota *twin = gw_quota_find(other, quota.user, quota.client);
        quota.in = twin && twin->in == quota.in ? 0 : quota.in;
        quota.out = twin && twin->out == quota.out ? 0 : quota.out;
        if (quota.in != 0 || quota.out != 0)
            gw_quota_set_add(out, &quota);
    }
    gw_quota_set_finish(out);
}

bool gw_quotas_known(const struct gw_quota_keeper *quotas)
{
    return !quotas->share || quotas->looked;
}

sl_status gw_quotas_compare(struct gw_quota_keeper *quotas, struct gw_control *control,
                            const struct gw_acl_picture *picture, bool ask, int64_t until_ms,
                            struct gw_quota_difference *difference, sl_error *error)
{
    struct gw_quota_set asked = {0};
    *difference = (struct gw_quota_difference){0};
    if (!quotas->share)
        return SL_OK;
    sl_status status = ask ? look(quotas, control, picture, until_ms, difference, error) : SL_OK;
    if (!status)
        status = list_topics(picture, difference, error);
    if (status)
        return status;
    take_asked(quotas, picture, &asked);
    const struct gw_quota_terms terms = {quotas->share, quotas->brokers, quotas->least_out};
    if (gw_throttler_kept(quotas->gateway->throttler))
        gw_quota_plan(&picture->desired, difference->topics, difference->topic_count, &asked, &terms,
                      &difference->desired);
    gw_quota_set_change(&difference->change, &quotas->known, &difference->desired);
    if (ask) {
        add_differing(&difference->missing, &difference->desired, &quotas->known);
        add_differing(&difference->surplus, &quotas->known, &difference->desired);
    }
    bool failed = asked.failed || difference->desired.failed || difference->change.failed ||
                  difference->missing.failed || difference->surplus.failed;
    gw_quota_set_free(&asked);
    if (ask)
        atomic_store(&quotas->drift,
                     difference->change.count); /* others' may be meant: acl check tells them */
    return failed ? sl_error_oom(error) : SL_OK;
}

void gw_quota_difference_free(struct gw_quota_difference *difference)
{
    gw_quota_set_free(&difference->desired);
    gw_quota_set_free(&difference->change);
    gw_quota_set_free(&difference->missing);
    gw_quota_set_free(&difference->surplus);
    gw_quota_set_free(&difference->beyond);
    free(difference->topics);
    *difference = (struct gw_quota_difference){0};
}

/* --- Putting right --- */

/* lower: HTTP's parts become no more than they are, else what was planned. */
static void set_http(const struct gw_acl_picture *picture, const struct gw_quota_difference *difference,
                     bool lower)
{
    for (size_t i = 0; i < difference->topic_count; i++) {
        const struct gw_quota_topic *topic = &difference->topics[i];
        const struct gw_layer *layer = gw_acl_picture_topic(picture, topic->name)->layer;
        int in = topic->http_in, out = topic->http_out, now_in, now_out;
        gw_layer_http_part(layer, &now_in, &now_out);
        in = lower && now_in < in ? now_in : in;
        out = lower && now_out < out ? now_out : out;
        gw_layer_set_http_part(layer, in, out);
    }
}

sl_status gw_quotas_put_right(struct gw_quota_keeper *quotas, struct gw_control *control,
                              const struct gw_acl_picture *picture, struct gw_quota_difference *difference,
                              int64_t until_ms, sl_error *error)
{
    if (!quotas->share)
        return SL_OK;
    set_http(picture, difference, true);
    sl_status status = gw_broker_change_quotas(control, until_ms, &difference->change, error);
    if (status) { /* it is not known what was done */
        quotas->looked = false;
        return status;
    }
    atomic_fetch_add(&quotas->set, difference->change.count);
    size_t drift = atomic_load(&quotas->drift);
    atomic_store(&quotas->drift, drift > difference->change.count ? drift - difference->change.count : 0);
    gw_quota_set_free(&quotas->known);
    quotas->known = difference->desired;
    difference->desired = (struct gw_quota_set){0};
    return SL_OK;
}

void gw_quotas_give_back(struct gw_quota_keeper *quotas, const struct gw_acl_picture *picture,
                         const struct gw_quota_difference *difference)
{
    if (quotas->share)
        set_http(picture, difference, false);
}
