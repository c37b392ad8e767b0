/* Usage: the platform's answers, made into objects of the caller's. What it answers is checked once, so that
 * the accessors need not. */
#include <stdlib.h>
#include <streamlayer/usage.h>
#include <string.h>

#include "base/array.h"
#include "base/error.h"
#include "base/text.h"
#include "client/client.h"
#include "wire/hrn.h"

#define PAGE "5000" /* lines in one answer */

static const char *const granularities[] = {"day", "hour", "month"}; /* in the order of the enum */
#define GRANULARITIES (sizeof granularities / sizeof *granularities)

/* Either list: its items lie in one array, of a size each. */
struct items {
    json_t *value; /* the strings handed out are its */
    char *text;
    void *all;
    size_t count, capacity;
};
struct sl_usage_list {
    struct items items;
};
struct sl_usage_unconfirmed_list {
    struct items items;
};

static void items_free(struct items *items)
{
    json_decref(items->value);
    free(items->text);
    free(items->all);
}

/* --- Asking --- */

static sl_status check(sl_client *client, const sl_usage_filter *filter, sl_error *error)
{
    sl_status status = sl_client_check(client, error);
    if (!status && filter && filter->struct_size < sizeof *filter)
        status = sl_error_set(error, SL_INVALID_ARGUMENT, "sl_usage_filter: struct_size is not set");
    if (!status && filter && (unsigned)filter->granularity >= GRANULARITIES)
        status = sl_error_set(error, SL_INVALID_ARGUMENT, "sl_usage_filter: granularity is none");
    if (!status && filter && (filter->from_ms < -1 || filter->to_ms < -1))
        status = sl_error_set(error, SL_INVALID_ARGUMENT, "sl_usage_filter: a time is negative");
    if (!status && filter && filter->application)
        status = sl_client_check_name(filter->application, error);
    if (!status && filter && filter->hrn)
        status = sl_hrn_check(filter->hrn, error);
    if (!status && filter && filter->layer)
        status = sl_layer_id_check(filter->layer, error);
    return status;
}

static void append_text(struct sl_buffer *url, const char *name, const char *value)
{
    if (!value)
        return;
    sl_buffer_printf(url, "%s=", name);
    sl_percent_encode(url, value, strlen(value));
    sl_buffer_append_text(url, "&");
}

/* A kind of list. */
struct kind {
    const char *name; /* of its path, and of the answer's member */
    size_t size;      /* of an item */
    bool (*read)(const json_t *value, void *out);
    bool summed; /* by the filter's granularity */
};

/* kind: of what is asked for; NULL: it is no list, and has neither pages nor times. */
static void append_filter(struct sl_buffer *url, const struct kind *kind, const sl_usage_filter *filter)
{
    if (kind)
        append_text(url, "limit", PAGE);
    if (!filter)
        return;
    append_text(url, "application", filter->application);
    append_text(url, "catalog", filter->hrn);
    append_text(url, "layer", filter->layer);
    if (!kind)
        return;
    if (filter->from_ms >= 0)
        sl_buffer_printf(url, "from=%lld&", (long long)filter->from_ms);
    if (filter->to_ms >= 0)
        sl_buffer_printf(url, "to=%lld&", (long long)filter->to_ms);
    if (kind->summed)
        append_text(url, "granularity", granularities[filter->granularity]);
}

/* One call of usage v1. token (NULL: none): of the page before. */
static sl_status call(sl_client *client, const char *path, const struct kind *kind,
                      const sl_usage_filter *filter, const char *token, json_t **out, sl_error *error)
{
    char *base = NULL;
    struct sl_buffer url;
    sl_buffer_init(&url, 65536);
    sl_status status = sl_client_extension_url(client, NULL, "usage", "v1", "tell of usage", &base, error);
    if (!status) {
        sl_buffer_printf(&url, "%s/%s?", base, path);
        append_filter(&url, kind, filter);
        append_text(&url, "pageToken", token);
        if (!url.failed)
            url.data[--url.size] = 0; /* the last "?" or "&" */
        status =
            url.failed ? sl_error_oom(error) : sl_client_call_json(client, "GET", url.data, NULL, out, error);
    }
    free(base);
    sl_buffer_free(&url);
    return status;
}

/* --- Reading answers --- */

static const char *text_of(const json_t *value, const char *name)
{
    return json_string_value(json_object_get(value, name));
}

static bool read_number(const json_t *value, const char *name, int64_t *number)
{
    const json_t *given = json_object_get(value, name);
    *number = json_integer_value(given);
    return json_is_integer(given);
}

static bool read_usage(const json_t *value, void *out)
{
    sl_usage *usage = out;
    *usage = (sl_usage){.struct_size = sizeof *usage,
                        .application = text_of(value, "application"),
                        .name = text_of(value, "name"),
                        .hrn = text_of(value, "hrn"),
                        .layer = text_of(value, "layer"),
                        .group = text_of(value, "group")};
    return usage->application && usage->hrn && usage->layer && usage->group &&
           read_number(value, "from", &usage->from_ms) && read_number(value, "to", &usage->to_ms) &&
           read_number(value, "callsIn", &usage->calls_in) &&
           read_number(value, "callsOut", &usage->calls_out) &&
           read_number(value, "messagesIn", &usage->messages_in) &&
           read_number(value, "messagesOut", &usage->messages_out) &&
           read_number(value, "bytesIn", &usage->bytes_in) &&
           read_number(value, "bytesOut", &usage->bytes_out) &&
           read_number(value, "blobBytesIn", &usage->blob_bytes_in) &&
           read_number(value, "blobBytesOut", &usage->blob_bytes_out);
}

static bool read_unconfirmed(const json_t *value, void *out)
{
    sl_usage_unconfirmed *delivery = out;
    *delivery = (sl_usage_unconfirmed){.struct_size = sizeof *delivery,
                                       .application = text_of(value, "application"),
                                       .name = text_of(value, "name"),
                                       .hrn = text_of(value, "hrn"),
                                       .layer = text_of(value, "layer"),
                                       .group = text_of(value, "group"),
                                       .open = json_is_true(json_object_get(value, "open"))};
    return delivery->application && delivery->hrn && delivery->layer && delivery->group &&
           read_number(value, "at", &delivery->at_ms) &&
           read_number(value, "messagesOut", &delivery->messages) &&
           read_number(value, "bytesOut", &delivery->bytes) &&
           read_number(value, "blobBytesOut", &delivery->blob_bytes);
}

/* What the first page says beside its list is said of all of them. */
static bool begin(const struct kind *kind, json_t *page, struct items *items)
{
    items->value = json_copy(page);
    (void)json_object_del(items->value, "nextPageToken");
    return json_object_set_new(items->value, kind->name, json_array()) == 0;
}

static sl_status add_page(const struct kind *kind, json_t *page, struct items *items, sl_error *error)
{
    json_t *found = json_object_get(page, kind->name);
    if (!json_is_array(found))
        return sl_error_set(error, SL_PROTOCOL, "the platform answered no list \"%s\"", kind->name);
    if (!items->value && !begin(kind, page, items))
        return sl_error_oom(error);
    if (json_array_extend(json_object_get(items->value, kind->name), found))
        return sl_error_oom(error);
    for (size_t i = 0; i < json_array_size(found); i++) {
        if (!sl_array_reserve(&items->all, items->count, &items->capacity, kind->size))
            return sl_error_oom(error);
        if (!kind->read(json_array_get(found, i), (char *)items->all + items->count * kind->size))
            return sl_error_set(error, SL_PROTOCOL, "the platform answered usage that is not of its form");
        items->count++;
    }
    return SL_OK;
}

static sl_status get(sl_client *client, const struct kind *kind, const sl_usage_filter *filter,
                     struct items *items, sl_error *error)
{
    char *token = NULL;
    sl_status status = check(client, filter, error);
    while (!status) {
        json_t *page = NULL;
        status = call(client, kind->name, kind, filter, token, &page, error);
        if (!status)
            status = add_page(kind, page, items, error);
        free(token);
        const json_t *next = json_object_get(page, "nextPageToken");
        token = sl_strdup(json_string_value(next));
        if (next && !json_is_string(next) && !status)
            status =
                sl_error_set(error, SL_PROTOCOL, "the platform answered a nextPageToken that is no text");
        else if (next && !token && !status)
            status = sl_error_oom(error);
        json_decref(page);
        if (!next)
            break;
    }
    free(token);
    if (!status && !(items->text = json_dumps(items->value, JSON_INDENT(2))))
        status = sl_error_oom(error);
    return status;
}

/* --- The calls of usage.h --- */

sl_status sl_usage_list_get(sl_client *client, const sl_usage_filter *filter, sl_usage_list **list,
                            sl_error *error)
{
    static const struct kind kind = {"usage", sizeof(sl_usage), read_usage, .summed = true};
    if (!list)
        return sl_error_set(error, SL_INVALID_ARGUMENT, "sl_usage_list_get: list is NULL");
    if (!(*list = calloc(1, sizeof **list)))
        return sl_error_oom(error);
    sl_status status = get(client, &kind, filter, &(*list)->items, error);
    if (status)
        sl_usage_list_destroy(list);
    return status;
}

sl_status sl_usage_unconfirmed_list_get(sl_client *client, const sl_usage_filter *filter,
                                        sl_usage_unconfirmed_list **list, sl_error *error)
{
    static const struct kind kind = {"unconfirmed", sizeof(sl_usage_unconfirmed), read_unconfirmed,
                                     .summed = false};
    if (!list)
        return sl_error_set(error, SL_INVALID_ARGUMENT, "sl_usage_unconfirmed_list_get: list is NULL");
    if (!(*list = calloc(1, sizeof **list)))
        return sl_error_oom(error);
    sl_status status = get(client, &kind, filter, &(*list)->items, error);
    if (status)
        sl_usage_unconfirmed_list_destroy(list);
    return status;
}

/* An answer of the platform's as text. */
static sl_status get_text(sl_client *client, const char *path, const sl_usage_filter *filter, char **text,
                          sl_error *error)
{
    json_t *value = NULL;
    sl_status status = call(client, path, NULL, filter, NULL, &value, error);
    if (!status && !(*text = json_dumps(value, JSON_INDENT(2))))
        status = sl_error_oom(error);
    json_decref(value);
    return status;
}

sl_status sl_usage_statement_get(sl_client *client, const char *month, const sl_usage_filter *filter,
                                 char **text, sl_error *error)
{
    char path[32];
    sl_status status = check(client, filter, error);
    if (!status && !text)
        status = sl_error_set(error, SL_INVALID_ARGUMENT, "sl_usage_statement_get: text is NULL");
    if (!status && (!month || strlen(month) != 7 || strspn(month, "0123456789-") != 7))
        status = sl_error_set(error, SL_INVALID_ARGUMENT,
                              "sl_usage_statement_get: a month is written as in 2026-11");
    if (status)
        return status;
    *text = NULL;
    snprintf(path, sizeof path, "statements/%s", month);
    return get_text(client, path, filter, text, error);
}

sl_status sl_usage_statement_keys_get(sl_client *client, char **text, sl_error *error)
{
    sl_status status = sl_client_check(client, error);
    if (!status && !text)
        status = sl_error_set(error, SL_INVALID_ARGUMENT, "sl_usage_statement_keys_get: text is NULL");
    if (status)
        return status;
    *text = NULL;
    return get_text(client, "jwks", NULL, text, error);
}

void sl_usage_list_destroy(sl_usage_list **list)
{
    if (!list || !*list)
        return;
    items_free(&(*list)->items);
    free(*list);
    *list = NULL;
}

size_t sl_usage_list_count(const sl_usage_list *list)
{
    return list ? list->items.count : 0;
}

bool sl_usage_list_at(const sl_usage_list *list, size_t index, sl_usage *usage)
{
    if (!list || index >= list->items.count || !usage || usage->struct_size < sizeof *usage)
        return false;
    *usage = ((const sl_usage *)list->items.all)[index];
    return true;
}

const char *sl_usage_list_json(const sl_usage_list *list)
{
    return list ? list->items.text : NULL;
}

void sl_usage_unconfirmed_list_destroy(sl_usage_unconfirmed_list **list)
{
    if (!list || !*list)
        return;
    items_free(&(*list)->items);
    free(*list);
    *list = NULL;
}

size_t sl_usage_unconfirmed_list_count(const sl_usage_unconfirmed_list *list)
{
    return list ? list->items.count : 0;
}

bool sl_usage_unconfirmed_list_at(const sl_usage_unconfirmed_list *list, size_t index,
                                  sl_usage_unconfirmed *delivery)
{
    if (!list || index >= list->items.count || !delivery || delivery->struct_size < sizeof *delivery)
        return false;
    *delivery = ((const sl_usage_unconfirmed *)list->items.all)[index];
    return true;
}

const char *sl_usage_unconfirmed_list_json(const sl_usage_unconfirmed_list *list)
{
    return list ? list->items.text : NULL;
}
