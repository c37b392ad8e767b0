/* Sets of quotas. */
#include "gateway/broker/quotas.h"

#include "base/array.h"
#include "base/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int compare_keys(const struct gw_quota *one, const struct gw_quota *other)
{
    int order = strcmp(one->user, other->user);
    if (order)
        return order;
    if (!one->client || !other->client)
        return (one->client != NULL) - (other->client != NULL);
    return strcmp(one->client, other->client);
}

static int compare(const void *a, const void *b)
{
    return compare_keys(a, b);
}

static void quota_free(struct gw_quota *quota)
{
    free((char *)(uintptr_t)quota->user);
    free((char *)(uintptr_t)quota->client);
}

void gw_quota_set_add(struct gw_quota_set *set, const struct gw_quota *quota)
{
    if (!sl_array_reserve((void **)&set->list, set->count, &set->capacity, sizeof *set->list)) {
        set->failed = true;
        return;
    }
    struct gw_quota copy = *quota;
    copy.user = sl_strdup(quota->user);
    copy.client = sl_strdup(quota->client);
    if (copy.user && !copy.client == !quota->client) {
        set->list[set->count++] = copy;
    } else {
        quota_free(&copy);
        set->failed = true;
    }
}

void gw_quota_set_finish(struct gw_quota_set *set)
{
    size_t kept = 0;
    if (set->count)
        qsort(set->list, set->count, sizeof *set->list, compare);
    for (size_t i = 0; i < set->count; i++) {
        if (kept && !compare(&set->list[kept - 1], &set->list[i]))
            quota_free(&set->list[i]);
        else
            set->list[kept++] = set->list[i];
    }
    set->count = kept;
}

void gw_quota_set_insert(struct gw_quota_set *set, const struct gw_quota *quota)
{
    size_t before = set->count, low = 0, high = before;
    gw_quota_set_add(set, quota);
    if (set->count == before)
        return;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (compare_keys(&set->list[middle], quota) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    struct gw_quota added = set->list[before];
    memmove(set->list + low + 1, set->list + low, (before - low) * sizeof *set->list);
    set->list[low] = added;
}

void gw_quota_set_prune(struct gw_quota_set *set)
{
    size_t kept = 0;
    for (size_t i = 0; i < set->count; i++) {
        if (set->list[i].in == 0 && set->list[i].out == 0)
            quota_free(&set->list[i]);
        else
            set->list[kept++] = set->list[i];
    }
    set->count = kept;
}

void gw_quota_set_free(struct gw_quota_set *set)
{
    for (size_t i = 0; i < set->count; i++)
        quota_free(&set->list[i]);
    free(set->list);
    *set = (struct gw_quota_set){0};
}

const struct gw_quota *gw_quota_find(const struct gw_quota_set *set, const char *user, const char *client)
{
    const struct gw_quota wanted = {.user = user, .client = client};
    return set->count ? bsearch(&wanted, set->list, set->count, sizeof *set->list, compare) : NULL;
}

/* No bound is the highest for a user. A layer's client without one is under its user's, which is lower than
 * all that we give clients. */
static bool rises(double from, double to, bool client)
{
    if (from == 0 || to == 0)
        return client ? from == 0 && to != 0 : from != 0 && to == 0;
    return to > from;
}

static void add_changes(struct gw_quota_set *out, const struct gw_quota_set *one,
                        const struct gw_quota_set *other, bool rising)
{
    static const struct gw_quota none = {0};
    for (size_t i = 0; i < other->count; i++) {
        const struct gw_quota *to = &other->list[i];
        const struct gw_quota *from = gw_quota_find(one, to->user, to->client);
        from = from ? from : &none;
        bool up = rises(from->in, to->in, to->client) || rises(from->out, to->out, to->client);
        if ((from->in != to->in || from->out != to->out) && up == rising)
            gw_quota_set_add(out, to);
    }
    for (size_t i = 0; i < one->count; i++) {
        struct gw_quota gone = one->list[i];
        gone.in = gone.out = 0;
        if (!gw_quota_find(other, gone.user, gone.client) && !gone.client == rising)
            gw_quota_set_add(out, &gone);
    }
}

void gw_quota_set_change(struct gw_quota_set *out, const struct gw_quota_set *one,
                         const struct gw_quota_set *other)
{
    add_changes(out, one, other, false);
    add_changes(out, one, other, true);
}

void gw_quota_client(const char *topic, char out[GW_QUOTA_CLIENT_MAX])
{
    snprintf(out, GW_QUOTA_CLIENT_MAX, GW_QUOTA_CLIENT_PREFIX "%s", topic);
}
