/* The options of producers and consumers. */
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "base/text.h"
#include "client/consumer.h"
#include "client/producer.h"
#include "client/statistics.h"
#include "wire/hrn.h"

/* Replaces the text at place by a copy of text; NULL clears it. */
static sl_status set_text(char **place, const char *text)
{
    char *copy = sl_strdup(text);
    if (text && !copy)
        return SL_OUT_OF_MEMORY;
    free(*place);
    *place = copy;
    return SL_OK;
}

static sl_status set_connector(char **place, const char *name)
{
    if (name && strcmp(name, "kafka-connector") && strcmp(name, "http-connector"))
        return SL_INVALID_ARGUMENT;
    return set_text(place, name);
}

sl_status sl_producer_options_create(sl_producer_options **options)
{
    if (!options)
        return SL_INVALID_ARGUMENT;
    *options = calloc(1, sizeof **options);
    if (!*options)
        return SL_OUT_OF_MEMORY;
    (*options)->compress = -1;
    return SL_OK;
}

void sl_producer_options_destroy(sl_producer_options **options)
{
    if (!options || !*options)
        return;
    free((*options)->connector);
    free((*options)->transactions);
    free(*options);
    *options = NULL;
}

sl_status sl_producer_options_set_delivery(sl_producer_options *options, sl_delivery_callback callback,
                                           void *opaque)
{
    if (!options)
        return SL_INVALID_ARGUMENT;
    options->delivery = callback;
    options->opaque = opaque;
    return SL_OK;
}

sl_status sl_producer_options_set_connector(sl_producer_options *options, const char *name)
{
    return options ? set_connector(&options->connector, name) : SL_INVALID_ARGUMENT;
}

sl_status sl_producer_options_set_transactions(sl_producer_options *options, const char *name)
{
    if (!options || (name && sl_group_check(name, NULL)))
        return SL_INVALID_ARGUMENT;
    return set_text(&options->transactions, name);
}

sl_status sl_producer_options_set_queue(sl_producer_options *options, size_t max_messages, size_t max_bytes)
{
    if (!options || !max_messages || !max_bytes)
        return SL_INVALID_ARGUMENT;
    options->max_messages = max_messages;
    options->max_bytes = max_bytes;
    return SL_OK;
}

sl_status sl_producer_options_set_compress(sl_producer_options *options, bool on)
{
    if (!options)
        return SL_INVALID_ARGUMENT;
    options->compress = on;
    return SL_OK;
}

sl_status sl_producer_options_set_statistics(sl_producer_options *options, int interval_ms,
                                             sl_statistics_callback callback, void *opaque)
{
    if (!options || (callback && interval_ms < SL_STATISTICS_MIN_MS))
        return SL_INVALID_ARGUMENT;
    options->statistics_ms = callback ? interval_ms : 0;
    options->statistics = callback;
    options->statistics_opaque = opaque;
    return SL_OK;
}

sl_status sl_consumer_options_create(sl_consumer_options **options)
{
    if (!options)
        return SL_INVALID_ARGUMENT;
    *options = calloc(1, sizeof **options);
    if (!*options)
        return SL_OUT_OF_MEMORY;
    (*options)->auto_commit = -1;
    (*options)->resolve = -1;
    (*options)->inflate = -1;
    return SL_OK;
}

void sl_consumer_options_destroy(sl_consumer_options **options)
{
    if (!options || !*options)
        return;
    free((*options)->connector);
    free((*options)->group);
    free(*options);
    *options = NULL;
}

sl_status sl_consumer_options_set_group(sl_consumer_options *options, const char *group)
{
    if (!options || (group && sl_group_check(group, NULL)))
        return SL_INVALID_ARGUMENT;
    return set_text(&options->group, group);
}

sl_status sl_consumer_options_set_connector(sl_consumer_options *options, const char *name)
{
    return options ? set_connector(&options->connector, name) : SL_INVALID_ARGUMENT;
}

sl_status sl_consumer_options_set_start(sl_consumer_options *options, sl_start start)
{
    if (!options || (unsigned)start > SL_START_END)
        return SL_INVALID_ARGUMENT;
    options->start = start;
    return SL_OK;
}

sl_status sl_consumer_options_set_auto_commit(sl_consumer_options *options, bool on, int interval_ms)
{
    if (!options || (on && interval_ms < 0))
        return SL_INVALID_ARGUMENT;
    options->auto_commit = on;
    options->auto_commit_interval_ms = interval_ms;
    return SL_OK;
}

sl_status sl_consumer_options_set_resolve(sl_consumer_options *options, bool on)
{
    if (!options)
        return SL_INVALID_ARGUMENT;
    options->resolve = on;
    return SL_OK;
}

sl_status sl_consumer_options_set_inflate(sl_consumer_options *options, bool on)
{
    if (!options)
        return SL_INVALID_ARGUMENT;
    options->inflate = on;
    return SL_OK;
}

sl_status sl_consumer_options_set_rebalance(sl_consumer_options *options, sl_rebalance_callback callback,
                                            void *opaque)
{
    if (!options)
        return SL_INVALID_ARGUMENT;
    options->rebalance = callback;
    options->rebalance_opaque = opaque;
    return SL_OK;
}

sl_status sl_consumer_options_set_statistics(sl_consumer_options *options, int interval_ms,
                                             sl_statistics_callback callback, void *opaque)
{
    if (!options || (callback && interval_ms < SL_STATISTICS_MIN_MS))
        return SL_INVALID_ARGUMENT;
    options->statistics_ms = interval_ms;
    options->statistics = callback;
    options->statistics_opaque = opaque;
    return SL_OK;
}
