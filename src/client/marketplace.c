/* Marketplace subscriptions: the platform's answers, made into objects of the caller's. What it answers is
 * checked once, so that the accessors need not. */
#include <stdlib.h>
#include <streamlayer/marketplace.h>
#include <string.h>

#include "base/error.h"
#include "base/text.h"
#include "client/client.h"
#include "wire/hrn.h"

static const char *const periods[] = {"all", "month", "day"}; /* in the order of sl_marketplace_period */
#define PERIODS (sizeof periods / sizeof *periods)

struct sl_marketplace_list {
    json_t *value; /* the strings handed out are its */
    char *text;
    size_t count;
    sl_marketplace_subscription *subscriptions;
};

/* The call. hrn NULL: one's own; name NULL: of all applications. in may be NULL, and is taken. */
static sl_status call(sl_client *client, const char *method, const char *hrn, const char *name, json_t *in,
                      json_t **out, sl_error *error)
{
    char *base = NULL;
    struct sl_buffer url;
    sl_buffer_init(&url, 4096);
    sl_status status =
        sl_client_extension_url(client, NULL, "config", "v1", "keep Marketplace subscriptions", &base, error);
    if (!status) {
        sl_buffer_printf(&url, "%s%s%s/marketplace-subscriptions%s", base, hrn ? "/catalogs/" : "",
                         hrn ? hrn : "", name ? "/" : "");
        if (name)
            sl_client_append_name(&url, name);
        status =
            url.failed ? sl_error_oom(error) : sl_client_call_json(client, method, url.data, in, out, error);
    }
    sl_buffer_free(&url);
    free(base);
    json_decref(in);
    return status;
}

static sl_status check(sl_client *client, const char *name, const char *hrn, sl_error *error)
{
    sl_status status = sl_client_check(client, error);
    if (!status)
        status = sl_client_check_name(name, error);
    return status ? status : sl_hrn_check(hrn, error);
}

static sl_status check_terms(const sl_marketplace_terms *terms, sl_error *error)
{
    if (!terms || terms->struct_size < sizeof *terms)
        return sl_error_set(error, SL_INVALID_ARGUMENT,
                            "sl_marketplace_subscribe: terms is NULL, or its struct_size is not set");
    if (terms->from_ms < -1 || terms->until_ms < -1 || terms->volume_bytes < 0 || terms->out_kbps < 0)
        return sl_error_set(error, SL_INVALID_ARGUMENT,
                            "sl_marketplace_subscribe: a time, the volume or the throughput is negative");
    if ((unsigned)terms->period >= PERIODS)
        return sl_error_set(error, SL_INVALID_ARGUMENT,
                            "sl_marketplace_subscribe: period is no sl_marketplace_period");
    return SL_OK;
}

/* Adds a member where it says something. False: memory is out. */
static bool set(json_t *object, const char *name, bool there, json_int_t value)
{
    return !there || !json_object_set_new(object, name, json_integer(value));
}

sl_status sl_marketplace_subscribe(sl_client *client, const char *name, const char *hrn,
                                   const sl_marketplace_terms *terms, sl_error *error)
{
    sl_status status = check(client, name, hrn, error);
    if (!status)
        status = check_terms(terms, error);
    if (status)
        return status;
    json_t *in = json_object();
    if (!in || !set(in, "from", terms->from_ms >= 0, terms->from_ms) ||
        !set(in, "until", terms->until_ms >= 0, terms->until_ms) ||
        !set(in, "outboundKbps", terms->out_kbps > 0, terms->out_kbps) ||
        !set(in, "volumeBytes", terms->volume_bytes > 0, terms->volume_bytes) ||
        json_object_set_new(in, "period", json_string(periods[terms->period]))) {
        json_decref(in);
        return sl_error_oom(error);
    }
    return call(client, "PUT", hrn, name, in, NULL, error);
}

sl_status sl_marketplace_unsubscribe(sl_client *client, const char *name, const char *hrn, sl_error *error)
{
    sl_status status = check(client, name, hrn, error);
    return status ? status : call(client, "DELETE", hrn, name, NULL, NULL, error);
}

/* Reading answers. */

/* A whole number, or what is meant without it; false: it is another thing. */
static bool read_number(const json_t *value, const char *name, int64_t otherwise, int64_t *number)
{
    const json_t *given = json_object_get(value, name);
    *number = given ? json_integer_value(given) : otherwise;
    return !given || json_is_integer(given);
}

static sl_status read_one(const json_t *value, sl_marketplace_subscription *out, sl_error *error)
{
    const char *period = json_string_value(json_object_get(value, "period"));
    int64_t kbps = 0;
    *out = (sl_marketplace_subscription){
        .struct_size = sizeof *out,
        .application = json_string_value(json_object_get(value, "application")),
        .name = json_string_value(json_object_get(value, "name")),
        .hrn = json_string_value(json_object_get(value, "hrn")),
        .terms = {.struct_size = sizeof out->terms},
    };
    bool good = out->application && out->name && out->hrn && period &&
                read_number(value, "from", -1, &out->terms.from_ms) &&
                read_number(value, "until", -1, &out->terms.until_ms) &&
                read_number(value, "outboundKbps", 0, &kbps) && kbps >= 0 && kbps <= INT32_MAX &&
                read_number(value, "volumeBytes", 0, &out->terms.volume_bytes) &&
                read_number(value, "created", -1, &out->created_ms);
    out->terms.out_kbps = (int)kbps;
    for (size_t i = 0; good && i < PERIODS; i++)
        if (!strcmp(period, periods[i]))
            out->terms.period = (sl_marketplace_period)i;
    return good ? SL_OK
                : sl_error_set(error, SL_PROTOCOL,
                               "the platform answered a Marketplace subscription that is not of its form");
}

static sl_status fill(struct sl_marketplace_list *list, sl_error *error)
{
    const json_t *items = json_object_get(list->value, "marketplaceSubscriptions");
    size_t count = json_array_size(items);
    if (!json_is_array(items))
        return sl_error_set(error, SL_PROTOCOL, "the platform answered no list of Marketplace subscriptions");
    if (!(list->text = json_dumps(list->value, JSON_INDENT(2))) ||
        !(list->subscriptions = calloc(count ? count : 1, sizeof *list->subscriptions)))
        return sl_error_oom(error);
    sl_status status = SL_OK;
    for (; list->count < count && !status; list->count++)
        status = read_one(json_array_get(items, list->count), &list->subscriptions[list->count], error);
    return status;
}

sl_status sl_marketplace_list_get(sl_client *client, const char *hrn, sl_marketplace_list **list,
                                  sl_error *error)
{
    json_t *value = NULL;
    sl_status status = sl_client_check(client, error);
    if (!status && !list)
        status = sl_error_set(error, SL_INVALID_ARGUMENT, "sl_marketplace_list_get: list is NULL");
    if (!status && hrn)
        status = sl_hrn_check(hrn, error);
    if (status)
        return status;
    *list = NULL;
    if ((status = call(client, "GET", hrn, NULL, NULL, &value, error)))
        return status;
    struct sl_marketplace_list *made = calloc(1, sizeof *made);
    if (!made) {
        json_decref(value);
        return sl_error_oom(error);
    }
    made->value = value;
    if ((status = fill(made, error)))
        sl_marketplace_list_destroy(&made);
    *list = made;
    return status;
}

void sl_marketplace_list_destroy(sl_marketplace_list **list)
{
    if (!list || !*list)
        return;
    json_decref((*list)->value);
    free((*list)->text);
    free((*list)->subscriptions);
    free(*list);
    *list = NULL;
}

size_t sl_marketplace_list_count(const sl_marketplace_list *list)
{
    return list ? list->count : 0;
}

bool sl_marketplace_list_at(const sl_marketplace_list *list, size_t index,
                            sl_marketplace_subscription *subscription)
{
    if (!list || index >= list->count || !subscription || subscription->struct_size < sizeof *subscription)
        return false;
    *subscription = list->subscriptions[index];
    return true;
}

const char *sl_marketplace_list_json(const sl_marketplace_list *list)
{
    return list ? list->text : NULL;
}
