#include "gateway/quota_plan.h"

#include <stdlib.h>
#include <string.h>

#define ALL          1000 /* thousandths */
#define HTTP_MIN     100
#define KEPT_TENTHS  9 /* of Direct Kafka's part: for the layer's own client id */
#define TENTHS_WHOLE 10

/* Of a topic in one direction. */
struct side {
    size_t entitled, asked; /* applications that may; of these, those that asked */
};

struct sides {
    struct side in, out;
};

struct plan {
    struct gw_quota_topic *topics;
    struct sides *sides; /* of each topic */
    size_t count;
    const struct gw_quota_set *asked;
    const struct gw_quota_terms *terms;
    struct gw_quota_set *out;
};

static int compare_names(const void *a, const void *b)
{
    const struct gw_quota_topic *one = a, *other = b;
    return strcmp(one->name, other->name);
}

/* SIZE_MAX: the list is of no topic that is divided here. */
static size_t topic_of(const struct plan *plan, const struct gw_acl *acl)
{
    const struct gw_quota_topic wanted = {.name = acl->name};
    const struct gw_quota_topic *found = NULL;
    bool kind = acl->resource == GW_ACL_TOPIC && acl->allow &&
                (acl->operation == GW_ACL_READ || acl->operation == GW_ACL_WRITE) &&
                !strncmp(acl->principal, GW_ACL_USER, sizeof GW_ACL_USER - 1);
    if (kind && plan->count)
        found = bsearch(&wanted, plan->topics, plan->count, sizeof *plan->topics, compare_names);
    return found ? (size_t)(found - plan->topics) : SIZE_MAX;
}

/* NULL: whom the list is of has not asked for the topic's endpoint in that direction. */
static const struct gw_quota *asked_for(const struct plan *plan, const struct gw_acl *acl)
{
    char client[GW_QUOTA_CLIENT_MAX];
    gw_quota_client(acl->name, client);
    const struct gw_quota *asked =
        gw_quota_find(plan->asked, acl->principal + sizeof GW_ACL_USER - 1, client);
    return asked && (acl->operation == GW_ACL_WRITE ? asked->in : asked->out) != 0 ? asked : NULL;
}

static struct side *side_of(const struct plan *plan, size_t topic, bool in)
{
    return in ? &plan->sides[topic].in : &plan->sides[topic].out;
}

static double rate_of(const struct plan *plan, size_t topic, bool in)
{
    return (double)(in ? plan->topics[topic].in : plan->topics[topic].out);
}

static double at_least_one(double rate)
{
    double whole = (double)(int64_t)rate;
    return whole < 1 ? 1 : whole;
}

/* Of the layer in one direction, on each broker: all that is Direct Kafka's. */
static double direct(const struct plan *plan, size_t topic, bool in)
{
    return rate_of(plan, topic, in) * plan->terms->share / 100 / plan->terms->brokers;
}

/* Of that, what one has who asked, with the layer's own client id; and one who may, with any other. */
static double own_part(const struct plan *plan, size_t topic, bool in)
{
    double part = at_least_one(direct(plan, topic, in) * KEPT_TENTHS / TENTHS_WHOLE /
                               (double)side_of(plan, topic, in)->asked);
    return !in && part < plan->terms->least_out ? plan->terms->least_out : part;
}

static double other_part(const struct plan *plan, size_t topic, bool in)
{
    return at_least_one(direct(plan, topic, in) * (TENTHS_WHOLE - KEPT_TENTHS) / TENTHS_WHOLE /
                        (double)side_of(plan, topic, in)->entitled);
}

/* What one list gives: to the layer's own client id, and to others, of which the least is kept. */
static void give(const struct plan *plan, size_t topic, const struct gw_acl *acl, struct gw_quota *user)
{
    bool in = acl->operation == GW_ACL_WRITE;
    double *rest = in ? &user->in : &user->out, others = other_part(plan, topic, in);
    if (*rest == 0 || others < *rest)
        *rest = others;
    const struct gw_quota *asked = asked_for(plan, acl);
    if (!asked)
        return;
    double own = own_part(plan, topic, in);
    struct gw_quota *last = plan->out->count ? &plan->out->list[plan->out->count - 1] : NULL;
    /* A set of lists has what may be done with one topic together. */
    if (last && last->client && !strcmp(last->client, asked->client) && !strcmp(last->user, user->user)) {
        *(in ? &last->in : &last->out) = own;
        return;
    }
    const struct gw_quota quota = {user->user, asked->client, in ? own : 0, in ? 0 : own};
    gw_quota_set_add(plan->out, &quota);
}

/* HTTP's part, in thousandths: what those who are there leave. */
static int http_part(const struct plan *plan, size_t topic, bool in)
{
    const struct side *side = side_of(plan, topic, in);
    double rate = rate_of(plan, topic, in), taken = 0;
    if (side->entitled)
        taken += direct(plan, topic, in) * (TENTHS_WHOLE - KEPT_TENTHS) / TENTHS_WHOLE;
    if (side->asked)
        taken += own_part(plan, topic, in) * (double)side->asked;
    double left = (rate - taken * plan->terms->brokers) * ALL / rate + 1e-6; /* for what was rounded */
    return left < HTTP_MIN ? HTTP_MIN : (int)left;
}

void gw_quota_plan(const struct gw_acl_set *rights, struct gw_quota_topic *topics, size_t topic_count,
                   const struct gw_quota_set *asked, const struct gw_quota_terms *terms,
                   struct gw_quota_set *out)
{
    struct plan plan = {.topics = topics,
                        .sides = calloc(topic_count ? topic_count : 1, sizeof *plan.sides),
                        .count = topic_count,
                        .asked = asked,
                        .terms = terms,
                        .out = out};
    if (!plan.sides) {
        out->failed = true;
        return;
    }
    for (size_t i = 0; i < rights->count; i++) {
        size_t topic = topic_of(&plan, &rights->list[i]);
        if (topic == SIZE_MAX)
            continue;
        struct side *side = side_of(&plan, topic, rights->list[i].operation == GW_ACL_WRITE);
        side->entitled++;
        side->asked += asked_for(&plan, &rights->list[i]) != NULL;
    }
    /* In the order of principals: */
    for (size_t i = 0; i < rights->count && !out->failed;) {
        const char *principal = rights->list[i].principal;
        struct gw_quota user = {.user = principal + sizeof GW_ACL_USER - 1};
        for (; i < rights->count && !strcmp(rights->list[i].principal, principal); i++) {
            size_t topic = topic_of(&plan, &rights->list[i]);
            if (topic != SIZE_MAX)
                give(&plan, topic, &rights->list[i], &user);
        }
        if (user.in != 0 || user.out != 0)
            gw_quota_set_add(out, &user);
    }
    gw_quota_set_finish(out);
    for (size_t i = 0; i < topic_count; i++) {
        topics[i].http_in = http_part(&plan, i, true);
        topics[i].http_out = http_part(&plan, i, false);
    }
    free(plan.sides);
}
