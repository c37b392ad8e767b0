#include "gateway/acl_picture.h"

#include "base/array.h"
#include "base/error.h"
#include "base/text.h"

#include <stdlib.h>
#include <string.h>

/* --- What should be --- */

/* layer NULL: of one that is being deleted. */
static void add_topic(struct gw_acl_picture *picture, const char *name, struct gw_layer *layer)
{
    if (!sl_array_reserve((void **)&picture->topics, picture->topic_count, &picture->topic_capacity,
                          sizeof *picture->topics)) {
        picture->failed = true;
        return;
    }
    struct gw_acl_topic *topic = &picture->topics[picture->topic_count++];
    *topic = (struct gw_acl_topic){.name = sl_strdup(name), .layer = layer ? gw_layer_link(layer) : NULL};
    picture->failed |= !topic->name;
}

static void add_layer(void *opaque, const struct gw_layer *layer)
{
    struct gw_acl_picture *picture = opaque;
    if (!strcmp(layer->cluster, picture->cluster)) /* linking it is no change of what it says */
        add_topic(picture, layer->topic, (struct gw_layer *)(uintptr_t)layer);
}

static void add_principal(struct gw_acl_picture *picture, const char *principal)
{
    char *copy = sl_strdup(principal);
    if (!copy || !sl_array_reserve((void **)&picture->principals, picture->principal_count,
                                   &picture->principal_capacity, sizeof *picture->principals)) {
        free(copy);
        picture->failed = true;
        return;
    }
    picture->principals[picture->principal_count++] = copy;
}

/* What an application may do with its own groups and transactions, whose names begin with its id and a dot.
 */
static void add_own(struct gw_acl_picture *picture, const char *principal, const char *prefix, bool writes)
{
    struct gw_acl acl = {.principal = principal,
                         .resource = GW_ACL_GROUP,
                         .name = prefix,
                         .prefixed = true,
                         .operation = GW_ACL_READ,
                         .allow = true,
                         .host = "*"};
    /* Whoever only writes has it, too: by it we know the principals that are, or were, applications. */
    gw_acl_set_add(&picture->desired, &acl);
    acl.resource = GW_ACL_TRANSACTIONAL_ID;
    acl.operation = GW_ACL_WRITE;
    if (writes)
        gw_acl_set_add(&picture->desired, &acl);
}

/* To Kafka "*" is everybody, and what has a "=" may be a certificate's name; the gateway has a name of its
 * own there. Nothing is written for these, so whatever they have is others'. */
static bool may_be_application(const struct gw_broker *broker, const char *user)
{
    return strcmp(user, "*") != 0 && !strchr(user, '=') && !gw_broker_is_own_user(broker, user);
}

/* Of another issuer's the brokers take no tokens, and the same subject may be somebody else there. */
bool gw_acl_knows(const struct gw_broker *broker, const struct gw_account *account)
{
    return !strcmp(account->issuer ? account->issuer : "", gw_broker_issuer(broker)) &&
           may_be_application(broker, account->principal);
}

static void add_account(void *opaque, const struct gw_account *account)
{
    struct gw_acl_picture *picture = opaque;
    if (!gw_acl_knows(picture->broker, account))
        return;
    char *principal = sl_printf(GW_ACL_USER "%s", account->principal),
         *prefix = sl_printf("%s.", account->id);
    bool reads = false, writes = false;
    if (principal)
        add_principal(picture, principal);
    for (size_t i = 0; i < picture->topic_count && principal && prefix; i++) {
        const struct gw_acl_topic *topic = &picture->topics[i];
        unsigned rights = topic->layer ? gw_account_rights(account, topic->layer->hrn) : 0;
        if (topic->layer && topic->layer->marketplace)
            rights &= ~(unsigned)SL_RIGHT_READ;
        struct gw_acl acl = {.principal = principal,
                             .resource = GW_ACL_TOPIC,
                             .name = topic->name,
                             .allow = true,
                             .host = "*"};
        acl.operation = GW_ACL_READ;
        if (rights & SL_RIGHT_READ)
            gw_acl_set_add(&picture->desired, &acl);
        acl.operation = GW_ACL_WRITE;
        if (rights & SL_RIGHT_WRITE)
            gw_acl_set_add(&picture->desired, &acl);
        reads |= (rights & SL_RIGHT_READ) != 0;
        writes |= (rights & SL_RIGHT_WRITE) != 0;
    }
    if (principal && prefix && (reads || account->all || account->grant_count))
        add_own(picture, principal, prefix, writes);
    picture->failed |= !principal || !prefix;
    free(principal);
    free(prefix);
}

static int compare_topics(const void *a, const void *b)
{
    const struct gw_acl_topic *one = a, *other = b;
    return strcmp(one->name, other->name);
}

static int compare_texts(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

const struct gw_acl_topic *gw_acl_picture_topic(const struct gw_acl_picture *picture, const char *name)
{
    const struct gw_acl_topic wanted = {.name = (char *)(uintptr_t)name};
    return picture->topic_count ? bsearch(&wanted, picture->topics, picture->topic_count,
                                          sizeof *picture->topics, compare_topics)
                                : NULL;
}

bool gw_acl_picture_principal(const struct gw_acl_picture *picture, const char *principal)
{
    return picture->principal_count && bsearch(&principal, picture->principals, picture->principal_count,
                                               sizeof *picture->principals, compare_texts);
}

void gw_acl_picture_free(struct gw_acl_picture *picture)
{
    for (size_t i = 0; i < picture->topic_count; i++) {
        free(picture->topics[i].name);
        gw_layer_unlink(picture->topics[i].layer);
    }
    for (size_t i = 0; i < picture->principal_count; i++)
        free(picture->principals[i]);
    free(picture->topics);
    free(picture->principals);
    gw_acl_set_free(&picture->desired);
    *picture = (struct gw_acl_picture){0};
}

static void sort_principals(struct gw_acl_picture *picture)
{
    if (picture->principal_count)
        qsort(picture->principals, picture->principal_count, sizeof *picture->principals, compare_texts);
}

sl_status gw_acl_picture_draw(struct gateway *gateway, const struct gw_broker *broker,
                              struct gw_acl_picture *picture, sl_error *error)
{
    const char *cluster = gw_broker_cluster(broker);
    json_t *condemned = NULL, *item;
    size_t index;
    *picture = (struct gw_acl_picture){.broker = broker, .cluster = cluster};
    /* The condemned second: a layer that is condemned in between is in both, and never in neither. */
    gw_catalogs_each_layer(gateway->catalogs, add_layer, picture);
    sl_status status = gw_catalogs_condemned(gateway->catalogs, NULL, NULL, &condemned, error);
    json_array_foreach(condemned, index, item)
    {
        if (!strcmp(json_string_value(json_object_get(item, "cluster")), cluster))
            add_topic(picture, json_string_value(json_object_get(item, "topic")), NULL);
    }
    json_decref(condemned);
    gw_access_each(gateway->access, add_account, picture);
    if (picture->topic_count)
        qsort(picture->topics, picture->topic_count, sizeof *picture->topics, compare_topics);
    sort_principals(picture);
    gw_acl_set_finish(&picture->desired);
    if (!status && (picture->failed || picture->desired.failed))
        status = sl_error_oom(error);
    if (status)
        gw_acl_picture_free(picture);
    return status;
}

/* --- What is there --- */

bool gw_acl_is_application_id(const char *text, const char *end)
{
    return strspn(text, "0123456789abcdef") == GW_APPLICATION_ID_DIGITS &&
           !strcmp(text + GW_APPLICATION_ID_DIGITS, end);
}

/* The prefix of an application's groups and transactions: its id and a dot. */
static bool is_prefix(const struct gw_acl *acl)
{
    bool ours = (acl->resource == GW_ACL_GROUP && acl->operation == GW_ACL_READ) ||
                (acl->resource == GW_ACL_TRANSACTIONAL_ID && acl->operation == GW_ACL_WRITE);
    return ours && acl->prefixed && gw_acl_is_application_id(acl->name, ".");
}

/* What an application has, or had: that we have written nothing else for its principal is known by it. */
static bool shows_application(const struct gw_acl_picture *picture, const struct gw_acl *acl)
{
    size_t user = sizeof GW_ACL_USER - 1;
    return acl->allow && is_prefix(acl) && !strncmp(acl->principal, GW_ACL_USER, user) &&
           may_be_application(picture->broker, acl->principal + user);
}

/* Of a form that we write. */
static bool has_our_form(const struct gw_acl_picture *picture, const struct gw_acl *acl)
{
    if (!acl->allow || strcmp(acl->host, "*") != 0)
        return false;
    if (acl->resource == GW_ACL_TOPIC)
        return !acl->prefixed && (acl->operation == GW_ACL_READ || acl->operation == GW_ACL_WRITE) &&
               gw_acl_picture_topic(picture, acl->name);
    return is_prefix(acl);
}

/* Whether topics that layers have, or will be given, are among those whose names begin so. */
static bool is_before_topics(const struct gw_acl_picture *picture, const struct gw_acl *acl)
{
    size_t size = strlen(acl->name), own = sizeof GW_TOPIC_PREFIX - 1;
    if (acl->allow && !strncmp(acl->name, GW_TOPIC_PREFIX, size < own ? size : own))
        return true;
    for (size_t i = 0; i < picture->topic_count; i++)
        if (!strncmp(picture->topics[i].name, acl->name, size))
            return true;
    return false;
}

/* Whether what it says, of an application or of everybody, is more, or less, than was granted. Nothing is
 * granted on the cluster, nor on what we have no name for (users, delegation tokens): so there it can only be
 * more, but that an application is kept from the cluster is told. */
static bool concerns(const struct gw_acl_picture *picture, const struct gw_acl *acl, bool application)
{
    switch (acl->resource) {
    case GW_ACL_CLUSTER:
        return application || acl->allow;
    case GW_ACL_UNKNOWN:
        return acl->allow;
    case GW_ACL_TOPIC:
        return acl->prefixed ? is_before_topics(picture, acl)
                             : !strcmp(acl->name, "*") || gw_acl_picture_topic(picture, acl->name);
    default:
        return true;
    }
}

void gw_acl_sort_out(struct gw_acl_picture *picture, const struct gw_acl_set *there, struct gw_acl_set *ours,
                     struct gw_acl_set *beyond, struct gw_acl_set *denied)
{
    for (size_t i = 0; i < there->count; i++)
        if (shows_application(picture, &there->list[i]))
            add_principal(picture, there->list[i].principal);
    sort_principals(picture);
    for (size_t i = 0; i < there->count; i++) {
        const struct gw_acl *acl = &there->list[i];
        bool application = gw_acl_picture_principal(picture, acl->principal);
        if (application && has_our_form(picture, acl))
            gw_acl_set_add(ours, acl);
        else if ((application || !strcmp(acl->principal, GW_ACL_USER "*")) &&
                 concerns(picture, acl, application))
            gw_acl_set_add(acl->allow ? beyond : denied, acl);
    }
    gw_acl_set_finish(ours);
    gw_acl_set_finish(beyond);
    gw_acl_set_finish(denied);
    ours->failed |= picture->failed;
}
