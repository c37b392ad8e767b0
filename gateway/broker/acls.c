#include "gateway/broker/acls.h"

#include "base/array.h"
#include "base/error.h"
#include "base/text.h"
#include "base/time.h"
#include "gateway/broker/internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ACLS_TIMEOUT_MS 10000
#define LOOK            "look at access control lists"
#define SLICE_MS        100
#define PORTION         1000 /* in one request */

/* --- Sets --- */

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

/* --- librdkafka's --- */

static const struct {
    rd_kafka_AclOperation_t kafka;
    const char *text;
} operations[] = {
    [GW_ACL_ALL] = {RD_KAFKA_ACL_OPERATION_ALL, "All"},
    [GW_ACL_READ] = {RD_KAFKA_ACL_OPERATION_READ, "Read"},
    [GW_ACL_WRITE] = {RD_KAFKA_ACL_OPERATION_WRITE, "Write"},
    [GW_ACL_CREATE] = {RD_KAFKA_ACL_OPERATION_CREATE, "Create"},
    [GW_ACL_DELETE] = {RD_KAFKA_ACL_OPERATION_DELETE, "Delete"},
    [GW_ACL_ALTER] = {RD_KAFKA_ACL_OPERATION_ALTER, "Alter"},
    [GW_ACL_DESCRIBE] = {RD_KAFKA_ACL_OPERATION_DESCRIBE, "Describe"},
    [GW_ACL_CLUSTER_ACTION] = {RD_KAFKA_ACL_OPERATION_CLUSTER_ACTION, "ClusterAction"},
    [GW_ACL_DESCRIBE_CONFIGS] = {RD_KAFKA_ACL_OPERATION_DESCRIBE_CONFIGS, "DescribeConfigs"},
    [GW_ACL_ALTER_CONFIGS] = {RD_KAFKA_ACL_OPERATION_ALTER_CONFIGS, "AlterConfigs"},
    [GW_ACL_IDEMPOTENT_WRITE] = {RD_KAFKA_ACL_OPERATION_IDEMPOTENT_WRITE, "IdempotentWrite"},
    [GW_ACL_OTHER] = {RD_KAFKA_ACL_OPERATION_UNKNOWN, "another operation"},
};

static const struct {
    rd_kafka_ResourceType_t kafka;
    const char *text;
} resources[] = {
    [GW_ACL_TOPIC] = {RD_KAFKA_RESOURCE_TOPIC, "topic"},
    [GW_ACL_GROUP] = {RD_KAFKA_RESOURCE_GROUP, "group"},
    [GW_ACL_CLUSTER] = {RD_KAFKA_RESOURCE_BROKER, "cluster"},
    [GW_ACL_UNKNOWN] = {RD_KAFKA_RESOURCE_UNKNOWN, "other resource"},
};

const char *gw_acl_resource_text(enum gw_acl_resource resource)
{
    return resources[resource].text;
}

const char *gw_acl_operation_text(enum gw_acl_operation operation)
{
    return operations[operation].text;
}

static enum gw_acl_resource resource_of(rd_kafka_ResourceType_t kafka)
{
    enum gw_acl_resource resource = GW_ACL_TOPIC;
    while (resource < GW_ACL_UNKNOWN && resources[resource].kafka != kafka)
        resource++;
    return resource;
}

static enum gw_acl_operation operation_of(rd_kafka_AclOperation_t kafka)
{
    enum gw_acl_operation operation = GW_ACL_ALL;
    while (operation < GW_ACL_OTHER && operations[operation].kafka != kafka)
        operation++;
    return operation;
}

static rd_kafka_ResourcePatternType_t pattern_of(const struct gw_acl *acl)
{
    return acl->prefixed ? RD_KAFKA_RESOURCE_PATTERN_PREFIXED : RD_KAFKA_RESOURCE_PATTERN_LITERAL;
}

static rd_kafka_AclPermissionType_t permission_of(const struct gw_acl *acl)
{
    return acl->allow ? RD_KAFKA_ACL_PERMISSION_TYPE_ALLOW : RD_KAFKA_ACL_PERMISSION_TYPE_DENY;
}

static void read_binding(struct gw_acl_set *set, const rd_kafka_AclBinding_t *binding)
{
    const struct gw_acl acl = {
        .principal = rd_kafka_AclBinding_principal(binding),
        .resource = resource_of(rd_kafka_AclBinding_restype(binding)),
        .name = rd_kafka_AclBinding_name(binding),
        .prefixed = rd_kafka_AclBinding_resource_pattern_type(binding) == RD_KAFKA_RESOURCE_PATTERN_PREFIXED,
        .operation = operation_of(rd_kafka_AclBinding_operation(binding)),
        .allow = rd_kafka_AclBinding_permission_type(binding) == RD_KAFKA_ACL_PERMISSION_TYPE_ALLOW,
        .host = rd_kafka_AclBinding_host(binding),
    };
    if (acl.principal && acl.name && acl.host)
        gw_acl_set_add(set, &acl);
}

static sl_status fail(const struct gw_broker *broker, const char *what, rd_kafka_resp_err_t code,
                      const char *text, sl_error *error)
{
    text = text && *text ? text : rd_kafka_err2str(code);
    if (code == RD_KAFKA_RESP_ERR_SECURITY_DISABLED)
        return sl_error_set(
            error, SL_UNSUPPORTED,
            "the Kafka cluster %s has no authorizer, so it keeps no access control lists: set "
            "authorizer.class.name on its brokers, or %s.acls.enabled = false",
            broker->cluster, broker->root);
    if (code == RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED)
        return sl_error_set(
            error, SL_FORBIDDEN,
            "the gateway may not %s of the Kafka cluster %s: its principal needs Alter on the "
            "cluster (kafka-acls --add --cluster --operation Alter)",
            what, broker->cluster);
    return gw_kafka_error(code, text, what, broker->cluster, error);
}

/* The answer, or NULL and why. */
static rd_kafka_event_t *await(const struct gw_asking *asking, const char *what, sl_error *error)
{
    int64_t until_ms = sl_mono_ms() + gw_kafka_remaining_ms(asking->until_ms, ACLS_TIMEOUT_MS);
    rd_kafka_event_t *event = NULL;
    while (!event && sl_remaining_ms(until_ms) > 0 && !atomic_load(&asking->broker->acls_cancelled))
        event = rd_kafka_queue_poll(asking->queue, SLICE_MS);
    rd_kafka_resp_err_t code = event ? rd_kafka_event_error(event) : RD_KAFKA_RESP_ERR__TIMED_OUT;
    if (!code)
        return event;
    fail(asking->broker, what, code, event ? rd_kafka_event_error_string(event) : NULL, error);
    gw_broker_explain(asking->broker, error);
    if (event)
        rd_kafka_event_destroy(event);
    return NULL;
}

static rd_kafka_AdminOptions_t *options_for(const struct gw_asking *asking, rd_kafka_admin_op_t operation)
{
    char text[GW_PROPERTY_TEXT_MAX];
    rd_kafka_AdminOptions_t *options = rd_kafka_AdminOptions_new(asking->rk, operation);
    if (options)
        rd_kafka_AdminOptions_set_request_timeout(
            options, gw_kafka_remaining_ms(asking->until_ms, ACLS_TIMEOUT_MS), text, sizeof text);
    return options;
}

/* what: that it is for, as an error says it. */
static sl_status removal(struct gw_asking *asking, rd_kafka_AclBindingFilter_t **filters, size_t count,
                         const char *what, sl_error *error)
{
    rd_kafka_AdminOptions_t *options = options_for(asking, RD_KAFKA_ADMIN_OP_DELETEACLS);
    rd_kafka_DeleteAcls(asking->rk, filters, count, options, asking->queue);
    if (options)
        rd_kafka_AdminOptions_destroy(options);
    rd_kafka_event_t *event = await(asking, what, error);
    if (!event)
        return error->status;
    size_t results = 0;
    const rd_kafka_DeleteAcls_result_response_t **list =
        rd_kafka_DeleteAcls_result_responses(rd_kafka_event_DeleteAcls_result(event), &results);
    sl_status status = SL_OK;
    for (size_t i = 0; i < results && !status; i++) {
        const rd_kafka_error_t *reason = rd_kafka_DeleteAcls_result_response_error(list[i]);
        if (reason)
            status =
                fail(asking->broker, what, rd_kafka_error_code(reason), rd_kafka_error_string(reason), error);
    }
    rd_kafka_event_destroy(event);
    return status;
}

/* librdkafka 2.0.2 loses the error that DescribeAcls is answered with. Who may remove what there is nothing
 * of may also look. */
static sl_status probe(struct gw_asking *asking, sl_error *error)
{
    char text[GW_PROPERTY_TEXT_MAX];
    rd_kafka_AclBindingFilter_t *filter = rd_kafka_AclBindingFilter_new(
        RD_KAFKA_RESOURCE_TOPIC, "streamlayer-probe", RD_KAFKA_RESOURCE_PATTERN_LITERAL,
        "User:streamlayer-probe", "streamlayer-probe", RD_KAFKA_ACL_OPERATION_READ,
        RD_KAFKA_ACL_PERMISSION_TYPE_ALLOW, text, sizeof text);
    if (!filter)
        return sl_error_oom(error);
    sl_status status = removal(asking, &filter, 1, LOOK, error);
    rd_kafka_AclBinding_destroy(filter);
    return status;
}

static sl_status look(struct gw_asking *asking, struct gw_acl_set *out, sl_error *error)
{
    char text[GW_PROPERTY_TEXT_MAX];
    rd_kafka_AclBindingFilter_t *filter = rd_kafka_AclBindingFilter_new(
        RD_KAFKA_RESOURCE_ANY, NULL, RD_KAFKA_RESOURCE_PATTERN_ANY, NULL, NULL, RD_KAFKA_ACL_OPERATION_ANY,
        RD_KAFKA_ACL_PERMISSION_TYPE_ANY, text, sizeof text);
    if (!filter)
        return sl_error_oom(error);
    rd_kafka_AdminOptions_t *options = options_for(asking, RD_KAFKA_ADMIN_OP_DESCRIBEACLS);
    rd_kafka_DescribeAcls(asking->rk, filter, options, asking->queue);
    rd_kafka_AclBinding_destroy(filter);
    if (options)
        rd_kafka_AdminOptions_destroy(options);
    rd_kafka_event_t *event = await(asking, LOOK, error);
    if (!event)
        return error->status;
    size_t count = 0;
    const rd_kafka_AclBinding_t **list =
        rd_kafka_DescribeAcls_result_acls(rd_kafka_event_DescribeAcls_result(event), &count);
    for (size_t i = 0; i < count; i++)
        read_binding(out, list[i]);
    rd_kafka_event_destroy(event);
    gw_acl_set_finish(out);
    return out->failed ? sl_error_oom(error) : SL_OK;
}

sl_status gw_broker_acls(struct gw_broker *broker, int64_t until_ms, struct gw_acl_set *out, sl_error *error)
{
    struct gw_asking asking;
    sl_error reason = {0};
    *out = (struct gw_acl_set){0};
    sl_status status = gw_asking_begin(&asking, broker, NULL, until_ms, &reason);
    if (!status)
        status = probe(&asking, &reason);
    if (!status)
        status = look(&asking, out, &reason);
    gw_asking_end(&asking);
    if (status)
        gw_acl_set_free(out);
    if (status && error)
        *error = reason;
    return status;
}

static sl_status refused(const struct gw_acl *acl, const char *text, sl_error *error)
{
    return sl_error_set(error, SL_INTERNAL, "librdkafka takes no access control list of %s: %s",
                        acl->principal, text);
}

static sl_status make(struct gw_asking *asking, const struct gw_acl *list, size_t count, sl_error *error)
{
    static const char what[] = "make access control lists";
    char text[GW_PROPERTY_TEXT_MAX];
    rd_kafka_AclBinding_t *bindings[PORTION];
    sl_status status = SL_OK;
    size_t made = 0;
    for (; made < count; made++) {
        const struct gw_acl *acl = &list[made];
        bindings[made] = rd_kafka_AclBinding_new(resources[acl->resource].kafka, acl->name, pattern_of(acl),
                                                 acl->principal, acl->host, operations[acl->operation].kafka,
                                                 permission_of(acl), text, sizeof text);
        if (!bindings[made]) {
            rd_kafka_AclBinding_destroy_array(bindings, made);
            return refused(acl, text, error);
        }
    }
    rd_kafka_AdminOptions_t *options = options_for(asking, RD_KAFKA_ADMIN_OP_CREATEACLS);
    rd_kafka_CreateAcls(asking->rk, bindings, made, options, asking->queue);
    rd_kafka_AclBinding_destroy_array(bindings, made);
    if (options)
        rd_kafka_AdminOptions_destroy(options);
    rd_kafka_event_t *event = await(asking, what, error);
    if (!event)
        return error->status;
    size_t results = 0;
    const rd_kafka_acl_result_t **answers =
        rd_kafka_CreateAcls_result_acls(rd_kafka_event_CreateAcls_result(event), &results);
    for (size_t i = 0; i < results && !status; i++) {
        const rd_kafka_error_t *reason = rd_kafka_acl_result_error(answers[i]);
        if (reason)
            status =
                fail(asking->broker, what, rd_kafka_error_code(reason), rd_kafka_error_string(reason), error);
    }
    rd_kafka_event_destroy(event);
    return status;
}

static sl_status take(struct gw_asking *asking, const struct gw_acl *list, size_t count, sl_error *error)
{
    char text[GW_PROPERTY_TEXT_MAX];
    rd_kafka_AclBindingFilter_t *filters[PORTION];
    size_t made = 0;
    for (; made < count; made++) {
        const struct gw_acl *acl = &list[made];
        filters[made] = rd_kafka_AclBindingFilter_new(
            resources[acl->resource].kafka, acl->name, pattern_of(acl), acl->principal, acl->host,
            operations[acl->operation].kafka, permission_of(acl), text, sizeof text);
        if (!filters[made]) {
            rd_kafka_AclBinding_destroy_array(filters, made);
            return refused(acl, text, error);
        }
    }
    sl_status status = removal(asking, filters, made, "remove access control lists", error);
    rd_kafka_AclBinding_destroy_array(filters, made);
    return status;
}

/* What must not be done any more goes first. */
sl_status gw_broker_change_acls(struct gw_broker *broker, const struct gw_acl_set *add,
                                const struct gw_acl_set *remove, int64_t until_ms, sl_error *error)
{
    if (!add->count && !remove->count)
        return SL_OK;
    struct gw_asking asking;
    sl_error reason = {0};
    sl_status status = gw_asking_begin(&asking, broker, NULL, until_ms, &reason);
    for (size_t i = 0; i < remove->count && !status; i += PORTION)
        status = take(&asking, remove->list + i, remove->count - i < PORTION ? remove->count - i : PORTION,
                      &reason);
    for (size_t i = 0; i < add->count && !status; i += PORTION)
        status = make(&asking, add->list + i, add->count - i < PORTION ? add->count - i : PORTION, &reason);
    gw_asking_end(&asking);
    if (status && error)
        *error = reason;
    return status;
}

void gw_broker_cancel_acls(struct gw_broker *broker)
{
    atomic_store(&broker->acls_cancelled, true);
}

bool gw_broker_keeps_acls(const struct gw_broker *broker)
{
    return broker->keeps_acls;
}

const char *gw_broker_issuer(const struct gw_broker *broker)
{
    char path[GW_SETTING_MAX];
    snprintf(path, sizeof path, "%s.acls.issuer", broker->root);
    const char *issuer = sl_config_get(broker->config, path);
    return issuer ? issuer : "";
}
