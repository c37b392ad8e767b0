#include "client/lookup.h"

#include <pthread.h>
#include <stdlib.h>
#include <strings.h>

#include "base/error.h"
#include "base/text.h"
#include "base/time.h"
#include "client/client.h"
#include "wire/hrn.h"

#define SL_LOOKUP_FRESH_MS 3600000 /* what the platform's own max-age says */
#define SL_LOOKUP_MOST     1000    /* answers remembered; over it the oldest goes */

struct answer {
    struct answer *next;
    char *hrn; /* NULL: the platform's own APIs */
    json_t *apis;
    int64_t until_ms; /* sl_mono_ms() */
};

struct sl_lookup {
    struct sl_client *client;
    char *url; /* of the service, without a slash at its end */
    pthread_mutex_t lock;
    struct answer *answers; /* newest first; under lock */
};

sl_status sl_lookup_create(struct sl_client *client, struct sl_lookup **lookup, sl_error *error)
{
    struct sl_lookup *made = calloc(1, sizeof *made);
    if (!made)
        return sl_error_oom(error);
    made->client = client;
    sl_status status = sl_config_lookup_url(client->config, &made->url, error);
    if (status) {
        free(made);
        return status;
    }
    pthread_mutex_init(&made->lock, NULL);
    *lookup = made;
    return SL_OK;
}

static void answer_free(struct answer *answer)
{
    json_decref(answer->apis);
    free(answer->hrn);
    free(answer);
}

void sl_lookup_destroy(struct sl_lookup **lookup)
{
    struct sl_lookup *gone = *lookup;
    *lookup = NULL;
    if (!gone)
        return;
    while (gone->answers) {
        struct answer *answer = gone->answers;
        gone->answers = answer->next;
        answer_free(answer);
    }
    pthread_mutex_destroy(&gone->lock);
    free(gone->url);
    free(gone);
}

static bool same_hrn(const char *a, const char *b)
{
    return a && b ? !strcmp(a, b) : a == b;
}

/* The API's entry in an answer; hostile JSON simply has none. */
static const char *find_api(const json_t *apis, const char *api, const char *version, bool *extended)
{
    size_t index;
    json_t *entry;
    json_array_foreach((json_t *)(uintptr_t)apis, index, entry)
    {
        const char *name = json_string_value(json_object_get(entry, "api"));
        const char *its_version = json_string_value(json_object_get(entry, "version"));
        const char *url = json_string_value(json_object_get(entry, "baseURL"));
        if (!name || !its_version || !url || strcmp(name, api) || strcmp(its_version, version))
            continue;
        const char *ours =
            json_string_value(json_object_get(json_object_get(entry, "parameters"), "streamlayer"));
        *extended = ours && !strcmp(ours, "1");
        return url;
    }
    return NULL;
}

/* Forgets what is stale or too much, then looks. Under the lock. */
static json_t *remembered(struct sl_lookup *lookup, const char *hrn)
{
    int64_t now = sl_mono_ms();
    size_t count = 0;
    for (struct answer **place = &lookup->answers; *place;) {
        struct answer *answer = *place;
        if (answer->until_ms <= now || ++count > SL_LOOKUP_MOST) {
            *place = answer->next;
            answer_free(answer);
            continue;
        }
        if (same_hrn(answer->hrn, hrn))
            return answer->apis;
        place = &answer->next;
    }
    return NULL;
}

/* Takes the reference to apis. Forgetting to remember is no error. */
static void remember(struct sl_lookup *lookup, const char *hrn, json_t *apis)
{
    struct answer *answer = calloc(1, sizeof *answer);
    char *copy = sl_strdup(hrn);
    if (!answer || (hrn && !copy)) {
        free(answer);
        free(copy);
        json_decref(apis);
        return;
    }
    *answer = (struct answer){.hrn = copy, .apis = apis, .until_ms = sl_mono_ms() + SL_LOOKUP_FRESH_MS};
    pthread_mutex_lock(&lookup->lock);
    answer->next = lookup->answers;
    lookup->answers = answer;
    pthread_mutex_unlock(&lookup->lock);
}

/* Whether an answer names an address on the same server as url. */
static bool names_server(const json_t *apis, const char *url, size_t size)
{
    size_t index;
    json_t *entry;
    json_array_foreach((json_t *)(uintptr_t)apis, index, entry)
    {
        const char *base = json_string_value(json_object_get(entry, "baseURL"));
        if (base && !strncasecmp(base, url, size) && (!base[size] || base[size] == '/'))
            return true;
    }
    return false;
}

void sl_client_note_unreachable(struct sl_client *client, const char *url)
{
    struct sl_lookup *lookup = client->lookup;
    const char *rest = strstr(url, "://");
    if (!lookup || !rest)
        return;
    size_t size = (size_t)(rest + 3 - url);
    size += strcspn(url + size, "/?#");
    pthread_mutex_lock(&lookup->lock);
    for (struct answer **place = &lookup->answers; *place;) {
        struct answer *answer = *place;
        if (!names_server(answer->apis, url, size)) {
            place = &answer->next;
            continue;
        }
        *place = answer->next;
        answer_free(answer);
    }
    pthread_mutex_unlock(&lookup->lock);
}

static sl_status give(const json_t *apis, const char *api, const char *version, const char *lookup_url,
                      char **url, bool *extended, sl_error *error)
{
    bool ours = false;
    const char *found = find_api(apis, api, version, &ours);
    if (!found) {
        char where[SL_HTTP_DESCRIPTION];
        sl_http_describe("at", lookup_url, where, sizeof where);
        return sl_error_set(error, SL_UNSUPPORTED, "the platform %s does not offer the API %s %s", where, api,
                            version);
    }
    *url = sl_strdup(found);
    if (!*url)
        return sl_error_oom(error);
    if (extended)
        *extended = ours;
    return SL_OK;
}

static sl_status ask(struct sl_client *client, const char *hrn, const void *owner, int64_t deadline_ms,
                     json_t **apis, sl_error *error)
{
    struct sl_lookup *lookup = client->lookup;
    char *address = hrn ? sl_printf("%s/resources/%s/apis", lookup->url, hrn)
                        : sl_printf("%s/platform/apis", lookup->url);
    if (!address)
        return sl_error_oom(error);
    const struct sl_call_bounds bounds = {.owner = owner, .deadline_ms = deadline_ms};
    sl_status status = sl_client_call_json_within(client, "GET", address, NULL, &bounds, apis, error);
    char what[SL_HTTP_DESCRIPTION];
    sl_http_describe("GET", address, what, sizeof what);
    if (!status && !json_is_array(*apis))
        status = sl_error_set(error, SL_PROTOCOL,
                              "%s: the lookup service answered no list of APIs: is " SL_ROOT
                              "endpoint-locator.discovery-service-url right?",
                              what);
    free(address);
    if (status) {
        json_decref(*apis);
        return status;
    }
    remember(lookup, hrn, json_incref(*apis));
    return SL_OK;
}

sl_status sl_client_base_url_within(struct sl_client *client, const char *hrn, const char *api,
                                    const char *version, const void *owner, int64_t deadline_ms, char **url,
                                    bool *extended, sl_error *error)
{
    struct sl_lookup *lookup = client->lookup;
    sl_status status = hrn ? sl_hrn_check(hrn, error) : SL_OK;
    if (status)
        return status;
    pthread_mutex_lock(&lookup->lock);
    json_t *apis = json_incref(remembered(lookup, hrn));
    pthread_mutex_unlock(&lookup->lock);
    if (!apis)
        status = ask(client, hrn, owner, deadline_ms, &apis, error);
    if (status)
        return status;
    status = give(apis, api, version, lookup->url, url, extended, error);
    json_decref(apis);
    return status;
}

sl_status sl_client_base_url(struct sl_client *client, const char *hrn, const char *api, const char *version,
                             char **url, bool *extended, sl_error *error)
{
    return sl_client_base_url_within(client, hrn, api, version, NULL, 0, url, extended, error);
}

sl_status sl_client_extension_url(struct sl_client *client, const char *hrn, const char *api,
                                  const char *version, const char *what, char **url, sl_error *error)
{
    bool extended = false;
    sl_status status = sl_client_base_url(client, hrn, api, version, url, &extended, error);
    if (status || extended)
        return status;
    free(*url);
    *url = NULL;
    return sl_error_set(
        error, SL_UNSUPPORTED,
        "the platform does not %s: it lacks streamlayer's extensions of the %s API (on a gateway of "
        "streamlayer's, streamlayer.gateway.extensions switches them on)",
        what, api);
}
