/* Applications and grants: the platform's answers, made into objects of the caller's. What it answers is
 * checked once, so that the accessors need not. */
#include <stdlib.h>
#include <streamlayer/application.h>

#include "base/error.h"
#include "base/secret.h"
#include "base/text.h"
#include "client/client.h"
#include "wire/hrn.h"
#include "wire/rights.h"

#define PAGE 1000 /* applications in one answer */

struct sl_application {
    json_t *value; /* the strings handed out are its */
    char *text;    /* made when it is asked for in lists */
    unsigned rights;
};

struct sl_application_list {
    char *text;
    size_t count;
    struct sl_application *applications;
};

struct sl_grant_list {
    json_t *value;
    char *text;
};

static const char *text_of(const json_t *object, const char *name)
{
    return json_string_value(json_object_get(object, name));
}

static sl_status strange(const char *what, sl_error *error)
{
    return sl_error_set(error, SL_PROTOCOL, "the platform answered %s", what);
}

/* The call. */

static sl_status check(sl_client *client, const char *name, sl_error *error)
{
    sl_status status = sl_client_check(client, error);
    return status ? status : sl_client_check_name(name, error);
}

/* One call of config v1; in may be NULL and is taken. The path is before, name (may be NULL) as a segment,
 * and after. */
static sl_status call(sl_client *client, const char *method, const char *before, const char *name,
                      const char *after, json_t *in, json_t **out, sl_error *error)
{
    char *base = NULL;
    struct sl_buffer url;
    sl_buffer_init(&url, 4096);
    sl_status status = sl_client_extension_url(client, NULL, "config", "v1",
                                               "let applications be administered so", &base, error);
    if (!status) {
        sl_buffer_printf(&url, "%s/%s", base, before);
        if (name)
            sl_client_append_name(&url, name);
        sl_buffer_append_text(&url, after);
        status =
            url.failed ? sl_error_oom(error) : sl_client_call_json(client, method, url.data, in, out, error);
    }
    sl_buffer_free(&url);
    free(base);
    json_decref(in);
    return status;
}

/* Applications. */

static sl_status application_fill(struct sl_application *application, json_t *value, sl_error *error)
{
    application->value = value;
    const json_t *keys = json_object_get(value, "keys"), *grants = json_object_get(value, "grants");
    if (!text_of(value, "id") || !text_of(value, "name"))
        return strange("an application without \"id\" or \"name\"", error);
    if ((keys && !json_is_array(keys)) || (grants && !json_is_array(grants)))
        return strange("an application whose \"keys\" or \"grants\" are no list", error);
    application->rights = sl_rights_known(json_object_get(value, "rights"));
    application->text = json_dumps(value, JSON_INDENT(2));
    return application->text ? SL_OK : sl_error_oom(error);
}

static void overwrite(const char *text)
{
    volatile char *at = (volatile char *)(uintptr_t)text;
    while (at && *at)
        *at++ = 0;
}

static void application_clear(struct sl_application *application)
{
    overwrite(text_of(application->value, "accessKeySecret"));
    json_decref(application->value);
    sl_secret_free(&application->text);
}

/* Takes the reference to value. */
static sl_status application_make(json_t *value, struct sl_application **application, sl_error *error)
{
    struct sl_application *made = calloc(1, sizeof *made);
    if (!made) {
        json_decref(value);
        return sl_error_oom(error);
    }
    sl_status status = application_fill(made, value, error);
    if (status)
        sl_application_destroy(&made);
    else
        *application = made;
    return status;
}

/* What a call answered that makes a key. */
static sl_status give(json_t *answer, struct sl_application **application, sl_error *error)
{
    if (application)
        return application_make(answer, application, error);
    overwrite(text_of(answer, "accessKeySecret"));
    json_decref(answer);
    return SL_OK;
}

sl_status sl_application_create(sl_client *client, const sl_application_spec *spec,
                                sl_application **application, sl_error *error)
{
    if (application)
        *application = NULL;
    if (!spec || spec->struct_size < sizeof *spec)
        return sl_error_set(
            error, SL_INVALID_ARGUMENT,
            "sl_application_create: spec is NULL, or its struct_size is not sizeof(sl_application_spec)");
    sl_status status = check(client, spec->name, error);
    if (!status && spec->rights & ~(unsigned)SL_RIGHTS_ALL)
        status = sl_error_set(error, SL_INVALID_ARGUMENT, "sl_application_create: rights are no sl_right");
    if (status)
        return status;
    json_t *in = json_pack("{s:s, s:o, s:s*, s:s*}", "name", spec->name, "rights",
                           sl_rights_json(spec->rights), "issuer", spec->issuer, "subject", spec->subject);
    if (!in)
        return sl_error_set(error, SL_INVALID_ARGUMENT,
                            "a text of the application is not UTF-8, or memory is out");
    json_t *answer = NULL;
    status = call(client, "POST", "applications", NULL, "", in, &answer, error);
    return status ? status : give(answer, application, error);
}

sl_status sl_application_get(sl_client *client, const char *name, sl_application **application,
                             sl_error *error)
{
    sl_status status = check(client, name, error);
    if (!status && !application)
        status = sl_error_set(error, SL_INVALID_ARGUMENT, "sl_application_get: application is NULL");
    if (status)
        return status;
    *application = NULL;
    json_t *answer = NULL;
    status = call(client, "GET", "applications/", name, "", NULL, &answer, error);
    return status ? status : application_make(answer, application, error);
}

sl_status sl_application_delete(sl_client *client, const char *name, sl_error *error)
{
    sl_status status = check(client, name, error);
    return status ? status : call(client, "DELETE", "applications/", name, "", NULL, NULL, error);
}

sl_status sl_application_rotate(sl_client *client, const char *name, int64_t grace_ms,
                                sl_application **application, sl_error *error)
{
    if (application)
        *application = NULL;
    sl_status status = check(client, name, error);
    if (!status && grace_ms < 0)
        status = sl_error_set(error, SL_INVALID_ARGUMENT, "sl_application_rotate: grace_ms is negative");
    if (status)
        return status;
    json_t *in = json_pack("{s:I}", "graceMs", (json_int_t)grace_ms), *answer = NULL;
    if (!in)
        return sl_error_oom(error);
    status = call(client, "POST", "applications/", name, "/keys", in, &answer, error);
    return status ? status : give(answer, application, error);
}

/* The list. */

/* Appends one answer's applications to items. *next: where the following begins, freed by the caller; NULL:
 * there is none. */
static sl_status read_page(sl_client *client, json_t *items, const char *after, char **next, sl_error *error)
{
    struct sl_buffer query;
    json_t *answer = NULL;
    *next = NULL;
    sl_buffer_init(&query, 1024);
    sl_buffer_printf(&query, "?limit=%d", PAGE);
    if (after && sl_buffer_append_text(&query, "&pageToken="))
        sl_percent_encode(&query, after, strlen(after));
    sl_status status = query.failed
                           ? sl_error_oom(error)
                           : call(client, "GET", "applications", NULL, query.data, NULL, &answer, error);
    sl_buffer_free(&query);
    if (status)
        return status;
    const json_t *page = json_object_get(json_object_get(answer, "results"), "items");
    const char *more = text_of(answer, "nextPageToken");
    if (!json_is_array(page))
        status = strange("no list of applications", error);
    else if (json_array_extend(items, (json_t *)(uintptr_t)page) || (more && !(*next = sl_strdup(more))))
        status = sl_error_oom(error);
    else if (*next && after && !strcmp(*next, after))
        status = strange("the same page of applications twice", error);
    json_decref(answer);
    return status;
}

static sl_status list_fill(struct sl_application_list *list, const json_t *items, sl_error *error)
{
    size_t count = json_array_size(items);
    list->applications = calloc(count ? count : 1, sizeof *list->applications);
    list->text = json_dumps(items, JSON_INDENT(2));
    if (!list->applications || !list->text)
        return sl_error_oom(error);
    sl_status status = SL_OK;
    for (; list->count < count && !status; list->count++)
        status = application_fill(&list->applications[list->count],
                                  json_incref(json_array_get(items, list->count)), error);
    return status;
}

sl_status sl_application_list_get(sl_client *client, sl_application_list **list, sl_error *error)
{
    sl_status status = sl_client_check(client, error);
    if (!status && !list)
        status = sl_error_set(error, SL_INVALID_ARGUMENT, "sl_application_list_get: list is NULL");
    if (status)
        return status;
    *list = NULL;
    json_t *items = json_array();
    struct sl_application_list *made = calloc(1, sizeof *made);
    char *after = NULL, *next = NULL;
    status = items && made ? read_page(client, items, NULL, &next, error) : sl_error_oom(error);
    while (!status && next) {
        free(after);
        after = next;
        status = read_page(client, items, after, &next, error);
    }
    if (!status)
        status = list_fill(made, items, error);
    free(after);
    free(next);
    json_decref(items);
    if (status)
        sl_application_list_destroy(&made);
    else
        *list = made;
    return status;
}

/* Grants. */

/* The path's beginning, before the application's name; freed by the caller. NULL: memory is out. */
static char *grants_path(const char *hrn, const char *end)
{
    return strcmp(hrn, "*") ? sl_printf("catalogs/%s/grants%s", hrn, end) : sl_printf("grants%s", end);
}

static sl_status check_hrn(const char *hrn, sl_error *error)
{
    return hrn && !strcmp(hrn, "*") ? SL_OK : sl_hrn_check(hrn, error);
}

static sl_status change(sl_client *client, const char *method, const char *name, const char *hrn,
                        const char *query, json_t *in, sl_error *error)
{
    char *path = grants_path(hrn, "/");
    sl_status status;
    if (path) {
        status = call(client, method, path, name, query, in, NULL, error);
    } else {
        json_decref(in);
        status = sl_error_oom(error);
    }
    free(path);
    return status;
}

sl_status sl_grant_add(sl_client *client, const char *name, const char *hrn, unsigned rights, sl_error *error)
{
    sl_status status = check(client, name, error);
    if (!status)
        status = check_hrn(hrn, error);
    if (!status && (!rights || rights & ~(unsigned)SL_RIGHTS_ALL))
        status = sl_error_set(error, SL_INVALID_ARGUMENT, "sl_grant_add: rights are no sl_right");
    if (status)
        return status;
    json_t *in = json_pack("{s:o}", "rights", sl_rights_json(rights));
    return in ? change(client, "PATCH", name, hrn, "", in, error) : sl_error_oom(error);
}

sl_status sl_grant_take(sl_client *client, const char *name, const char *hrn, unsigned rights,
                        sl_error *error)
{
    char query[SL_RIGHTS_TEXT + 8] = "", text[SL_RIGHTS_TEXT];
    sl_status status = check(client, name, error);
    if (!status)
        status = check_hrn(hrn, error);
    if (!status && rights & ~(unsigned)SL_RIGHTS_ALL)
        status = sl_error_set(error, SL_INVALID_ARGUMENT, "sl_grant_take: rights are no sl_right");
    if (status)
        return status;
    if (rights)
        snprintf(query, sizeof query, "?rights=%s", sl_rights_text(rights, text));
    return change(client, "DELETE", name, hrn, query, NULL, error);
}

/* Takes the reference to value. */
static sl_status grants_make(json_t *value, struct sl_grant_list **list, sl_error *error)
{
    struct sl_grant_list *made = calloc(1, sizeof *made);
    if (!made) {
        json_decref(value);
        return sl_error_oom(error);
    }
    made->value = value;
    sl_status status =
        json_is_array(json_object_get(value, "grants")) ? SL_OK : strange("no list of grants", error);
    if (!status && !(made->text = json_dumps(value, JSON_INDENT(2))))
        status = sl_error_oom(error);
    if (status)
        sl_grant_list_destroy(&made);
    else
        *list = made;
    return status;
}

sl_status sl_grant_list_get(sl_client *client, const char *hrn, sl_grant_list **list, sl_error *error)
{
    sl_status status = sl_client_check(client, error);
    if (!status && !list)
        status = sl_error_set(error, SL_INVALID_ARGUMENT, "sl_grant_list_get: list is NULL");
    if (!status)
        status = check_hrn(hrn, error);
    if (status)
        return status;
    *list = NULL;
    char *path = grants_path(hrn, "");
    json_t *answer = NULL;
    status = path ? call(client, "GET", path, NULL, "", NULL, &answer, error) : sl_error_oom(error);
    free(path);
    return status ? status : grants_make(answer, list, error);
}

/* Objects. */

void sl_application_destroy(sl_application **application)
{
    if (!application || !*application)
        return;
    application_clear(*application);
    free(*application);
    *application = NULL;
}

void sl_application_list_destroy(sl_application_list **list)
{
    if (!list || !*list)
        return;
    for (size_t i = 0; i < (*list)->count; i++)
        application_clear(&(*list)->applications[i]);
    free((*list)->applications);
    free((*list)->text);
    free(*list);
    *list = NULL;
}

void sl_grant_list_destroy(sl_grant_list **list)
{
    if (!list || !*list)
        return;
    json_decref((*list)->value);
    free((*list)->text);
    free(*list);
    *list = NULL;
}

size_t sl_application_list_count(const sl_application_list *list)
{
    return list ? list->count : 0;
}

const sl_application *sl_application_list_at(const sl_application_list *list, size_t index)
{
    return list && index < list->count ? &list->applications[index] : NULL;
}

static const char *member(const sl_application *application, const char *name)
{
    return application ? text_of(application->value, name) : NULL;
}

const char *sl_application_id(const sl_application *application)
{
    return member(application, "id");
}

const char *sl_application_name(const sl_application *application)
{
    return member(application, "name");
}

const char *sl_application_issuer(const sl_application *application)
{
    return member(application, "issuer");
}

const char *sl_application_subject(const sl_application *application)
{
    return member(application, "subject");
}

unsigned sl_application_rights(const sl_application *application)
{
    return application ? application->rights : 0;
}

const char *sl_application_key_id(const sl_application *application)
{
    return member(application, "accessKeyId");
}

const char *sl_application_key_secret(const sl_application *application)
{
    return member(application, "accessKeySecret");
}

const char *sl_application_token_url(const sl_application *application)
{
    return member(application, "tokenEndpointUrl");
}

size_t sl_application_key_count(const sl_application *application)
{
    return application ? json_array_size(json_object_get(application->value, "keys")) : 0;
}

bool sl_application_key_at(const sl_application *application, size_t index, sl_application_key *key)
{
    if (index >= sl_application_key_count(application) || !key || key->struct_size < sizeof *key)
        return false;
    const json_t *value = json_array_get(json_object_get(application->value, "keys"), index);
    const json_t *expires = json_object_get(value, "expires");
    *key = (sl_application_key){
        .struct_size = sizeof *key,
        .key_id = text_of(value, "accessKeyId"),
        .created_ms = json_integer_value(json_object_get(value, "created")),
        .expires_ms = json_is_integer(expires) ? json_integer_value(expires) : -1,
    };
    return true;
}

static sl_grant grant_of(const json_t *value)
{
    return (sl_grant){
        .struct_size = sizeof(sl_grant),
        .application = text_of(value, "application"),
        .name = text_of(value, "name"),
        .hrn = text_of(value, "hrn"),
        .rights = sl_rights_known(json_object_get(value, "rights")),
    };
}

size_t sl_application_grant_count(const sl_application *application)
{
    return application ? json_array_size(json_object_get(application->value, "grants")) : 0;
}

bool sl_application_grant_at(const sl_application *application, size_t index, sl_grant *grant)
{
    if (index >= sl_application_grant_count(application) || !grant || grant->struct_size < sizeof *grant)
        return false;
    *grant = grant_of(json_array_get(json_object_get(application->value, "grants"), index));
    grant->application = sl_application_id(application);
    grant->name = sl_application_name(application);
    return true;
}

size_t sl_grant_list_count(const sl_grant_list *list)
{
    return list ? json_array_size(json_object_get(list->value, "grants")) : 0;
}

bool sl_grant_list_at(const sl_grant_list *list, size_t index, sl_grant *grant)
{
    if (index >= sl_grant_list_count(list) || !grant || grant->struct_size < sizeof *grant)
        return false;
    *grant = grant_of(json_array_get(json_object_get(list->value, "grants"), index));
    return true;
}

const char *sl_application_json(const sl_application *application)
{
    return application ? application->text : NULL;
}

const char *sl_application_list_json(const sl_application_list *list)
{
    return list ? list->text : NULL;
}

const char *sl_grant_list_json(const sl_grant_list *list)
{
    return list ? list->text : NULL;
}
