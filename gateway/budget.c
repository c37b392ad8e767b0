#include "gateway/budget.h"

#include "base/error.h"

#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>

struct account {
    atomic_size_t max, used;
};

struct gw_budget {
    struct account all;
    atomic_ullong refused;
    struct account parts[GW_BUDGET_PARTS];
};

sl_status gw_budget_create(size_t max, struct gw_budget **out, sl_error *error)
{
    struct gw_budget *budget = *out = calloc(1, sizeof *budget);
    if (!budget)
        return sl_error_oom(error);
    gw_budget_set_max(budget, max);
    return SL_OK;
}

void gw_budget_set_max(struct gw_budget *budget, size_t max)
{
    budget->all.max = max;
    budget->parts[GW_BUDGET_PUBLICATIONS].max = max / 4;
    budget->parts[GW_BUDGET_PREFETCH].max = max / 2;
    budget->parts[GW_BUDGET_RESULTS].max = max / 8;
}

void gw_budget_destroy(struct gw_budget **budget)
{
    free(*budget);
    *budget = NULL;
}

static void give(struct account *account, size_t bytes)
{
    atomic_fetch_sub_explicit(&account->used, bytes, memory_order_relaxed);
}

static size_t most(const struct account *account)
{
    return atomic_load_explicit(&account->max, memory_order_relaxed);
}

static bool take(struct account *account, size_t bytes)
{
    size_t before = atomic_fetch_add_explicit(&account->used, bytes, memory_order_relaxed);
    size_t max = most(account);
    if (before <= max && bytes <= max - before)
        return true;
    give(account, bytes);
    return false;
}

bool gw_budget_take(struct gw_budget *budget, size_t bytes)
{
    if (!budget || !bytes || take(&budget->all, bytes))
        return true;
    atomic_fetch_add_explicit(&budget->refused, 1, memory_order_relaxed);
    return false;
}

unsigned long long gw_budget_refused(const struct gw_budget *budget)
{
    return budget ? atomic_load_explicit(&budget->refused, memory_order_relaxed) : 0;
}

void gw_budget_add(struct gw_budget *budget, size_t bytes)
{
    if (budget)
        atomic_fetch_add_explicit(&budget->all.used, bytes, memory_order_relaxed);
}

void gw_budget_give(struct gw_budget *budget, size_t bytes)
{
    if (budget)
        give(&budget->all, bytes);
}

size_t gw_budget_max(const struct gw_budget *budget)
{
    return budget ? most(&budget->all) : SIZE_MAX;
}

static size_t used(const struct account *account)
{
    return atomic_load_explicit(&account->used, memory_order_relaxed);
}

size_t gw_budget_used(const struct gw_budget *budget)
{
    return budget ? used(&budget->all) : 0;
}

size_t gw_budget_room(const struct gw_budget *budget)
{
    size_t max = gw_budget_max(budget), now = gw_budget_used(budget);
    return now < max ? max - now : 0;
}

bool gw_budget_lay(struct gw_budget *budget, enum gw_budget_part part, size_t bytes)
{
    return !budget || take(&budget->parts[part], bytes);
}

void gw_budget_lift(struct gw_budget *budget, enum gw_budget_part part, size_t bytes)
{
    if (budget)
        give(&budget->parts[part], bytes);
}

size_t gw_budget_part_max(const struct gw_budget *budget, enum gw_budget_part part)
{
    return budget ? budget->parts[part].max : SIZE_MAX;
}

size_t gw_budget_part_used(const struct gw_budget *budget, enum gw_budget_part part)
{
    return budget ? used(&budget->parts[part]) : 0;
}

bool gw_budget_metrics(const struct gw_budget *budget, struct sl_buffer *text)
{
    return sl_buffer_printf(
        text,
        "# HELP streamlayer_bytes_in_flight Memory of what is under way: bodies, answers, messages that "
        "wait, "
        "publications.\n# TYPE streamlayer_bytes_in_flight gauge\nstreamlayer_bytes_in_flight %zu\n"
        "# HELP streamlayer_bytes_in_flight_limit What streamlayer.gateway.limits.bytes-in-flight allows.\n"
        "# TYPE streamlayer_bytes_in_flight_limit gauge\nstreamlayer_bytes_in_flight_limit %zu\n"
        "# HELP streamlayer_publication_bytes The part of them in publications that are not submitted.\n"
        "# TYPE streamlayer_publication_bytes gauge\nstreamlayer_publication_bytes %zu\n"
        "# HELP streamlayer_prefetch_bytes The part of them that subscriptions may read ahead.\n"
        "# TYPE streamlayer_prefetch_bytes gauge\nstreamlayer_prefetch_bytes %zu\n"
        "# HELP streamlayer_result_bytes The part of them for results of batches that are still being sent.\n"
        "# TYPE streamlayer_result_bytes gauge\nstreamlayer_result_bytes %zu\n",
        gw_budget_used(budget), gw_budget_max(budget), gw_budget_part_used(budget, GW_BUDGET_PUBLICATIONS),
        gw_budget_part_used(budget, GW_BUDGET_PREFETCH), gw_budget_part_used(budget, GW_BUDGET_RESULTS));
}
