/* The keys of the platform's tokens: its answers, made into objects of the caller's. What it answers is
 * checked once, so that the accessors need not. */
#include <stdlib.h>
#include <streamlayer/token_key.h>
#include <string.h>

#include "base/error.h"
#include "base/text.h"
#include "client/client.h"

#define KID_MAX 256

struct sl_token_key_list {
    json_t *value; /* the strings handed out are its */
    char *text;
    size_t count;
    sl_token_key *keys;
};

/* The call. kid NULL: none in the path. */
static sl_status call(sl_client *client, const char *method, const char *kid, json_t **out, sl_error *error)
{
    char *base = NULL;
    struct sl_buffer url;
    sl_buffer_init(&url, 4096);
    sl_status status =
        sl_client_extension_url(client, NULL, "config", "v1", "tell of its tokens' keys", &base, error);
    if (!status) {
        sl_buffer_printf(&url, "%s/token-keys%s", base, kid ? "/" : "");
        if (kid)
            sl_percent_encode(&url, kid, strlen(kid));
        status = url.failed ? sl_error_oom(error)
                            : sl_client_call_json(client, method, url.data, NULL, out, error);
    }
    free(base);
    sl_buffer_free(&url);
    return status;
}

/* Reading answers. */

static bool read_ms(const json_t *value, const char *name, int64_t *ms)
{
    const json_t *number = json_object_get(value, name);
    *ms = json_integer_value(number);
    return json_is_integer(number) && *ms >= 0;
}

static sl_status read_key(const json_t *value, sl_token_key *key, sl_error *error)
{
    *key = (sl_token_key){.struct_size = sizeof *key,
                          .kid = json_string_value(json_object_get(value, "kid")),
                          .state = json_string_value(json_object_get(value, "state")),
                          .ends_at_ms = -1};
    const json_t *end = json_object_get(value, "endsAt");
    if (key->kid && key->state && read_ms(value, "made", &key->made_ms) &&
        read_ms(value, "signsFrom", &key->signs_from_ms) &&
        (!end || json_is_null(end) || read_ms(value, "endsAt", &key->ends_at_ms)))
        return SL_OK;
    return sl_error_set(
        error, SL_PROTOCOL,
        "the platform answered a token key without \"kid\", \"state\", \"made\" or \"signsFrom\"");
}

static sl_status fill(struct sl_token_key_list *list, const json_t *keys, sl_error *error)
{
    size_t count = json_array_size(keys);
    if (!json_is_array(keys))
        return sl_error_set(error, SL_PROTOCOL, "the platform answered token keys that are no list");
    if (!(list->text = json_dumps(list->value, JSON_INDENT(2))) ||
        !(list->keys = calloc(count ? count : 1, sizeof *list->keys)))
        return sl_error_oom(error);
    sl_status status = SL_OK;
    for (; list->count < count && !status; list->count++)
        status = read_key(json_array_get(keys, list->count), &list->keys[list->count], error);
    return status;
}

/* Takes the reference to value. single: it is one key, not an object with a list of them. */
static sl_status make(json_t *value, bool single, sl_token_key_list **out, sl_error *error)
{
    struct sl_token_key_list *list = calloc(1, sizeof *list);
    json_t *keys = single ? json_pack("[O]", value) : json_incref(json_object_get(value, "keys"));
    sl_status status = list ? SL_OK : sl_error_oom(error);
    if (list)
        list->value = value;
    else
        json_decref(value);
    if (!status)
        status = fill(list, keys, error);
    json_decref(keys);
    if (status)
        sl_token_key_list_destroy(&list);
    else
        *out = list;
    return status;
}

/* The calls of token_key.h. */

sl_status sl_token_key_list_get(sl_client *client, sl_token_key_list **list, sl_error *error)
{
    json_t *value = NULL;
    if (!list)
        return sl_error_set(error, SL_INVALID_ARGUMENT, "sl_token_key_list_get: list is NULL");
    *list = NULL;
    sl_status status = sl_client_check(client, error);
    if (!status)
        status = call(client, "GET", NULL, &value, error);
    return status ? status : make(value, false, list, error);
}

sl_status sl_token_key_rotate(sl_client *client, sl_token_key_list **list, sl_error *error)
{
    json_t *value = NULL;
    if (list)
        *list = NULL;
    sl_status status = sl_client_check(client, error);
    if (!status)
        status = call(client, "POST", NULL, &value, error);
    if (!status && list)
        return make(value, true, list, error);
    json_decref(value);
    return status;
}

sl_status sl_token_key_revoke(sl_client *client, const char *kid, sl_error *error)
{
    sl_status status = sl_client_check(client, error);
    if (!status && (!kid || !*kid || strlen(kid) > KID_MAX || !kid[strspn(kid, ".")]))
        status = sl_error_set(error, SL_INVALID_ARGUMENT, "a token key's kid has 1 to %d bytes", KID_MAX);
    return status ? status : call(client, "DELETE", kid, NULL, error);
}

void sl_token_key_list_destroy(sl_token_key_list **list)
{
    if (!list || !*list)
        return;
    json_decref((*list)->value);
    free((*list)->text);
    free((*list)->keys);
    free(*list);
    *list = NULL;
}

size_t sl_token_key_list_count(const sl_token_key_list *list)
{
    return list ? list->count : 0;
}

bool sl_token_key_list_at(const sl_token_key_list *list, size_t index, sl_token_key *key)
{
    if (!list || index >= list->count || !key || key->struct_size < sizeof *key)
        return false;
    *key = list->keys[index];
    return true;
}

const char *sl_token_key_list_json(const sl_token_key_list *list)
{
    return list ? list->text : NULL;
}
