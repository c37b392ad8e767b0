/* Sets of access control lists, and what they are called. */
#include "gateway/broker/acls.h"

#include "base/array.h"
#include "base/text.h"

#include <stdlib.h>
#include <string.h>

static int compare(const void *a, const void *b)
{
    const struct gw_acl *one = a, *other = b;
    int order = strcmp(one->principal, other->principal);
    if (!order)
        order = (int)one->resource - (int)other->resource;
    if (!order)
        order = strcmp(one->name, other->name);
    if (!order)
        order = (int)one->prefixed - (int)other->prefixed;
    if (!order)
        order = (int)one->operation - (int)other->operation;
    if (!order)
        order = (int)one->allow - (int)other->allow;
    return order ? order : strcmp(one->host, other->host);
}

static void acl_free(struct gw_acl *acl)
{
    free((char *)(uintptr_t)acl->principal);
    free((char *)(uintptr_t)acl->name);
    free((char *)(uintptr_t)acl->host);
}

void gw_acl_set_add(struct gw_acl_set *set, const struct gw_acl *acl)
{
    if (!sl_array_reserve((void **)&set->list, set->count, &set->capacity, sizeof *set->list)) {
        set->failed = true;
        return;
    }
    struct gw_acl copy = *acl;
    copy.principal = sl_strdup(acl->principal);
    copy.name = sl_strdup(acl->name);
    copy.host = sl_strdup(acl->host);
    if (copy.principal && copy.name && copy.host) {
        set->list[set->count++] = copy;
    } else {
        acl_free(&copy);
        set->failed = true;
    }
}

void gw_acl_set_finish(struct gw_acl_set *set)
{
    size_t kept = 0;
    if (set->count)
        qsort(set->list, set->count, sizeof *set->list, compare);
    for (size_t i = 0; i < set->count; i++) {
        if (kept && !compare(&set->list[kept - 1], &set->list[i]))
            acl_free(&set->list[i]);
        else
            set->list[kept++] = set->list[i];
    }
    set->count = kept;
}

void gw_acl_set_free(struct gw_acl_set *set)
{
    for (size_t i = 0; i < set->count; i++)
        acl_free(&set->list[i]);
    free(set->list);
    *set = (struct gw_acl_set){0};
}

bool gw_acl_set_has(const struct gw_acl_set *set, const struct gw_acl *acl)
{
    return set->count && bsearch(acl, set->list, set->count, sizeof *set->list, compare);
}

void gw_acl_set_minus(struct gw_acl_set *out, const struct gw_acl_set *one, const struct gw_acl_set *other)
{
    for (size_t i = 0; i < one->count; i++)
        if (!gw_acl_set_has(other, &one->list[i]))
            gw_acl_set_add(out, &one->list[i]);
    gw_acl_set_finish(out);
}

static const char *const operations[] = {
    [GW_ACL_ALL] = "All",
    [GW_ACL_READ] = "Read",
    [GW_ACL_WRITE] = "Write",
    [GW_ACL_CREATE] = "Create",
    [GW_ACL_DELETE] = "Delete",
    [GW_ACL_ALTER] = "Alter",
    [GW_ACL_DESCRIBE] = "Describe",
    [GW_ACL_CLUSTER_ACTION] = "ClusterAction",
    [GW_ACL_DESCRIBE_CONFIGS] = "DescribeConfigs",
    [GW_ACL_ALTER_CONFIGS] = "AlterConfigs",
    [GW_ACL_IDEMPOTENT_WRITE] = "IdempotentWrite",
    [GW_ACL_OTHER] = "another operation",
};

static const char *const resources[] = {
    [GW_ACL_TOPIC] = "topic",
    [GW_ACL_GROUP] = "group",
    [GW_ACL_CLUSTER] = "cluster",
    [GW_ACL_TRANSACTIONAL_ID] = "transactional-id",
    [GW_ACL_UNKNOWN] = "other resource",
};

const char *gw_acl_resource_text(enum gw_acl_resource resource)
{
    return resources[resource];
}

const char *gw_acl_operation_text(enum gw_acl_operation operation)
{
    return operations[operation];
}
