#include "gateway/api/consumer_properties.h"

#include "base/error.h"
#include "base/text.h"
#include "wire/hrn.h"

#include <stdio.h>
#include <string.h>

#define AUTO_COMMIT_MS 5000 /* Kafka's own default */

enum kind { GROUP, RESET, AUTO_COMMIT, INTERVAL, RECORDS, PASSED, BOUNDED };

/* BOUNDED: checked, and without effect: the gateway's own limits rule. */
static const struct allowed {
    const char *name;
    enum kind kind;
    int64_t min, max;
    const char *passed_as;
} allowed[] = {
    {"group.id", GROUP, 0, 0, NULL},
    {"auto.offset.reset", RESET, 0, 0, NULL},
    {"enable.auto.commit", AUTO_COMMIT, 0, 0, NULL},
    {"auto.commit.interval.ms", INTERVAL, 100, 86400000, NULL},
    {"max.poll.records", RECORDS, 1, 10000000, NULL},
    {"max.poll.interval.ms", BOUNDED, 1, INT32_MAX, NULL},
    {"fetch.min.bytes", PASSED, 1, 1048576, "fetch.min.bytes"},
    {"fetch.max.wait.ms", PASSED, 0, 30000, "fetch.wait.max.ms"},
    {"fetch.wait.max.ms", PASSED, 0, 30000, "fetch.wait.max.ms"},
    {"fetch.max.bytes", BOUNDED, 1, INT32_MAX, NULL},
    {"max.partition.fetch.bytes", BOUNDED, 1, INT32_MAX, NULL},
    {"session.timeout.ms", PASSED, 6000, 300000, "session.timeout.ms"},
    {"heartbeat.interval.ms", PASSED, 500, 3000, "heartbeat.interval.ms"},
};
#define ALLOWED (sizeof allowed / sizeof *allowed)

/* A property's value as text: strings, booleans and whole numbers are all the same. */
static const char *text_of(const json_t *value, char number[24])
{
    switch (json_typeof(value)) {
    case JSON_STRING:
        return strlen(json_string_value(value)) == json_string_length(value) ? json_string_value(value)
                                                                             : NULL;
    case JSON_INTEGER:
        snprintf(number, 24, "%lld", (long long)json_integer_value(value));
        return number;
    case JSON_TRUE:
        return "true";
    case JSON_FALSE:
        return "false";
    default:
        return NULL;
    }
}

static sl_status take_choice(const struct allowed *property, const char *text,
                             struct gw_consumer_properties *properties, sl_error *error)
{
    if (property->kind == RESET) {
        properties->earliest = !strcmp(text, "earliest");
        if (!properties->earliest && strcmp(text, "latest"))
            return sl_error_set(error, SL_INVALID_ARGUMENT,
                                "auto.offset.reset is \"%s\": it must be earliest or latest", text);
        return SL_OK;
    }
    properties->auto_commit = !strcmp(text, "true") || !strcmp(text, "1");
    if (!properties->auto_commit && strcmp(text, "false") && strcmp(text, "0"))
        return sl_error_set(error, SL_INVALID_ARGUMENT,
                            "enable.auto.commit is \"%s\": it must be true or false", text);
    return SL_OK;
}

static sl_status take(const struct allowed *property, const char *text,
                      struct gw_consumer_properties *properties, sl_error *error)
{
    int64_t number = 0;
    if (property->kind == GROUP) {
        sl_status status = sl_group_check(text, error);
        if (status) {
            sl_error_prefix(error, "group.id");
            return status;
        }
        snprintf(properties->group, sizeof properties->group, "%s", text);
        return SL_OK;
    }
    if (property->kind == RESET || property->kind == AUTO_COMMIT)
        return take_choice(property, text, properties, error);
    if (!sl_parse_int(text, property->min, property->max, &number))
        return sl_error_set(error, SL_INVALID_ARGUMENT,
                            "%s is \"%s\": it must be a whole number from %lld to %lld", property->name, text,
                            (long long)property->min, (long long)property->max);
    if (property->kind == INTERVAL) {
        properties->auto_commit_ms = (int)number;
    } else if (property->kind == RECORDS) {
        properties->poll_messages = (size_t)number;
    } else if (property->kind == PASSED && properties->count < GW_PASSED_MAX) {
        char *copy = properties->texts[properties->count];
        snprintf(copy, sizeof properties->texts[0], "%lld", (long long)number);
        properties->passed[properties->count++] = (struct gw_property){property->passed_as, copy};
    }
    return SL_OK;
}

static sl_status unknown(const char *name, sl_error *error)
{
    const char *names[ALLOWED];
    for (size_t i = 0; i < ALLOWED; i++)
        names[i] = allowed[i].name;
    const char *nearest = sl_nearest(name, names, ALLOWED);
    return sl_error_set(
        error, SL_INVALID_ARGUMENT,
        "kafkaConsumerProperties: \"%s\" cannot be set%s%s%s: docs/protocol.md lists what can", name,
        nearest ? " (did you mean " : "", nearest ? nearest : "", nearest ? "?)" : "");
}

sl_status gw_consumer_properties_parse(const json_t *value, struct gw_consumer_properties *properties,
                                       sl_error *error)
{
    memset(properties, 0, sizeof *properties);
    properties->auto_commit_ms = AUTO_COMMIT_MS;
    if (value && !json_is_object(value))
        return sl_error_set(error, SL_INVALID_ARGUMENT, "kafkaConsumerProperties is not a JSON object");
    const char *name;
    json_t *given;
    json_object_foreach((json_t *)(uintptr_t)value, name, given)
    {
        if (json_is_null(given)) /* not given */
            continue;
        const struct allowed *property = allowed;
        while (property < allowed + ALLOWED && strcmp(property->name, name))
            property++;
        if (property == allowed + ALLOWED)
            return unknown(name, error);
        char number[24];
        const char *text = text_of(given, number);
        sl_status status = text ? take(property, text, properties, error)
                                : sl_error_set(error, SL_INVALID_ARGUMENT,
                                               "%s must be a string, a whole number or a boolean", name);
        if (status)
            return SL_INVALID_ARGUMENT;
    }
    return SL_OK;
}
