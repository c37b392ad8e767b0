/* streamlayer group list|describe|reset */
#include "base/text.h"
#include "cli.h"
#include "position.h"

#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

#define MOST_PARTITIONS 32 /* of a layer */

/* The group that the third operand names; without it the configured one, as consume takes it. NULL: the
 * default group. cli_connect comes first. */
static const char *group_operand(const struct cli *cli)
{
    const char *given = cli->operand_count > 2 ? cli->operands[2] : NULL;
    if (!given)
        given = sl_config_get(cli->config, "here.platform.data-client.stream.consumer.group");
    return given && *given && strcmp(given, "-") != 0 ? given : NULL;
}

static int print_text(const struct cli *cli, const char *text)
{
    puts(text);
    return cli_flush_output(cli);
}

/* list */

static int group_list(struct cli *cli)
{
    static const char *const titles[] = {"GROUP", "STATE", "MEMBERS"};
    int code = cli_connect(cli);
    if (code)
        return code;
    sl_error error = {0};
    sl_group_list *list = NULL;
    if (sl_group_list_get(cli->client, cli->operands[0], cli->operands[1], &list, &error))
        return cli_fail(cli, &error);
    if (cli->json) {
        puts(sl_group_list_json(list));
    } else {
        struct cli_table *table = cli_table_create(3, titles);
        for (size_t i = 0; i < sl_group_list_count(list); i++) {
            const sl_group *group = sl_group_list_at(list, i);
            char members[24];
            snprintf(members, sizeof members, "%zu", sl_group_member_count(group));
            const char *cells[] = {sl_group_name(group), sl_group_state(group), members};
            cli_table_row(table, cells);
        }
        code = cli_table_finish(cli, &table);
    }
    sl_group_list_destroy(&list);
    return code ? code : cli_flush_output(cli);
}

const struct cli_command cli_group_list_command = {
    .name = "group list",
    .operands = "HRN LAYER",
    .min_operands = 2,
    .max_operands = 2,
    .summary = "list the consumer groups of a layer",
    .details = "A group is listed once it has committed on the layer, or while it has members that read it. "
               "Only the application's own groups are seen. The one named after the catalog and the layer is "
               "the default group: that of consumers that name none.",
    .examples = "  streamlayer group list hrn:here:data::local:traffic cars\n",
    .related = "consume",
    .run = group_list,
};

/* describe */

/* Whoever has the partition. NULL: nobody. */
static const char *owner(const sl_group *group, int32_t partition, char out[300])
{
    sl_group_member member = {.struct_size = sizeof member};
    for (size_t i = 0; sl_group_member_at(group, i, &member); i++)
        for (size_t k = 0; k < member.partition_count; k++)
            if (member.partitions[k] == partition) {
                snprintf(out, 300, "%s %s", member.member_id ? member.member_id : "?",
                         member.host ? member.host : "");
                return out;
            }
    return NULL;
}

static void format_offset(int64_t offset, char out[24])
{
    snprintf(out, 24, offset < 0 ? "-" : "%lld", (long long)offset);
}

static void print_head(const sl_group *group)
{
    size_t members = sl_group_member_count(group);
    printf("group     %s\nin Kafka  %s\nstate     %s, %zu %s\n\n", sl_group_name(group),
           sl_group_kafka_name(group), sl_group_state(group), members,
           sl_plural(members, "member", "members"));
}

static void print_idle_members(const sl_group *group)
{
    sl_group_member member = {.struct_size = sizeof member};
    for (size_t i = 0; sl_group_member_at(group, i, &member); i++)
        if (!member.partition_count)
            printf("no part of this layer: %s %s\n", member.member_id ? member.member_id : "?",
                   member.host ? member.host : "");
}

static int print_group(const struct cli *cli, const sl_group *group)
{
    static const char *const titles[] = {"PARTITION", "BEGIN", "END", "COMMITTED", "LAG", "MEMBER"};
    sl_group_partition partition = {.struct_size = sizeof partition};
    struct cli_table *table = cli_table_create(6, titles);
    int64_t total = 0;
    print_head(group);
    for (size_t i = 0; sl_group_partition_at(group, i, &partition); i++) {
        char number[24], begin[24], end[24], committed[24], lag[24], member[300];
        format_offset(partition.partition, number);
        format_offset(partition.begin, begin);
        format_offset(partition.end, end);
        format_offset(partition.committed, committed);
        format_offset(partition.lag, lag);
        const char *who = owner(group, partition.partition, member);
        const char *cells[] = {number, begin, end, committed, lag, who ? who : "-"};
        cli_table_row(table, cells);
        total += partition.lag;
    }
    int code = cli_table_finish(cli, &table);
    print_idle_members(group);
    printf("\ntotal lag %lld\n", (long long)total);
    return code;
}

static int group_describe(struct cli *cli)
{
    int code = cli_connect(cli);
    if (code)
        return code;
    sl_error error = {0};
    sl_group *group = NULL;
    if (sl_group_get(cli->client, cli->operands[0], cli->operands[1], group_operand(cli), &group, &error))
        return cli_fail(cli, &error);
    code = cli->json ? print_text(cli, sl_group_json(group)) : print_group(cli, group);
    sl_group_destroy(&group);
    return code ? code : cli_flush_output(cli);
}

const struct cli_command cli_group_describe_command = {
    .name = "group describe",
    .operands = "HRN LAYER [GROUP]",
    .min_operands = 2,
    .max_operands = 3,
    .summary = "show where a consumer group stands, its lag and its members",
    .details =
        "For each Kafka partition: the oldest message that is left (BEGIN), where the next one will be "
        "(END), the next one that the group wants (COMMITTED), how many it has not committed yet (LAG) "
        "and who reads it.\n\n"
        "Without GROUP, or with -, it is the configured group (stream.consumer.group), or else the "
        "default one, made from application, catalog and layer.",
    .examples = "  streamlayer group describe hrn:here:data::local:traffic cars\n"
                "  streamlayer group describe HRN LAYER my-application --json\n",
    .related = "consume,layer show",
    .run = group_describe,
};

/* reset */

static const struct cli_option group_reset_options[] = {
    {0, "to", "WHERE",
     "begin, end, N (the next offset wanted) or @TIME (the first message at or after it): " CLI_TIME_FORMS},
    {'p', "partition", "N", "only this Kafka partition (repeatable); without it, all"},
    {'n', "dry-run", NULL, "show what would change, and change nothing"},
    {'y', "yes", NULL, "do not ask"},
    {0, NULL, NULL, NULL},
};

static int64_t wall_ms(void)
{
    struct timeval now;
    gettimeofday(&now, NULL);
    return (int64_t)now.tv_sec * 1000 + now.tv_usec / 1000;
}

static int read_place(const struct cli *cli, sl_reset_spec *spec)
{
    const char *to = cli_value(cli, "to");
    struct cli_position position;
    char why[CLI_POSITION_WHY];
    if (!to)
        return cli_usage_error(cli, "--to is needed: begin, end, an offset or @TIME");
    if (!cli_position_parse(to, wall_ms(), &position, why))
        return cli_usage_error(cli, "--to %s: %s", to, why);
    spec->value = position.value;
    switch (position.place) {
    case CLI_AT_BEGIN:
        spec->to = SL_RESET_BEGIN;
        return CLI_OK;
    case CLI_AT_END:
        spec->to = SL_RESET_END;
        return CLI_OK;
    case CLI_AT_OFFSET:
        spec->to = SL_RESET_OFFSET;
        return CLI_OK;
    case CLI_AT_TIME:
        spec->to = SL_RESET_TIME;
        return CLI_OK;
    case CLI_AT_NONE:
    case CLI_AT_LAST:
        break;
    }
    return cli_usage_error(cli, "--to %s: begin, end, an offset or @TIME", to);
}

static int read_partitions(const struct cli *cli, int32_t partitions[MOST_PARTITIONS], sl_reset_spec *spec)
{
    const char *text;
    for (size_t at = 0; (text = cli_next_value(cli, "partition", &at));) {
        char *end;
        long number = strtol(text, &end, 10);
        if (*text < '0' || *text > '9' || *end || number >= MOST_PARTITIONS)
            return cli_usage_error(cli, "--partition %s: a Kafka partition is a number from 0 to %d", text,
                                   MOST_PARTITIONS - 1);
        if (spec->count == MOST_PARTITIONS)
            return cli_usage_error(cli, "--partition is given more than %d times", MOST_PARTITIONS);
        partitions[spec->count++] = (int32_t)number;
    }
    spec->partitions = partitions;
    return CLI_OK;
}

/* Prints what the reset changes, or would. */
static int print_change(const struct cli *cli, const sl_group *group)
{
    static const char *const titles[] = {"PARTITION", "BEGIN", "END", "COMMITTED", "NEW", "CHANGE", "LAG"};
    sl_group_partition partition = {.struct_size = sizeof partition};
    struct cli_table *table = cli_table_create(7, titles);
    int64_t total = 0;
    bool known = false;
    for (size_t i = 0; sl_group_partition_at(group, i, &partition); i++) {
        char number[24], begin[24], end[24], before[24], committed[24], change[24] = "-", lag[24];
        format_offset(partition.partition, number);
        format_offset(partition.begin, begin);
        format_offset(partition.end, end);
        format_offset(partition.before, before);
        format_offset(partition.committed, committed);
        format_offset(partition.lag, lag);
        if (partition.before >= 0 && partition.committed != partition.before)
            snprintf(change, sizeof change, "%+lld", (long long)(partition.committed - partition.before));
        else if (partition.before < 0 && partition.committed >= 0)
            snprintf(change, sizeof change, "new");
        const char *cells[] = {number, begin, end, before, committed, change, lag};
        cli_table_row(table, cells);
        total += partition.lag;
        known |= partition.before >= 0;
    }
    printf("group  %s%s\n\n", sl_group_name(group),
           known ? "" : " (new: nothing was committed on this layer so far)");
    int code = cli_table_finish(cli, &table);
    printf("\ntotal lag %lld\n", (long long)total);
    return code;
}

static int reset_once(struct cli *cli, const sl_reset_spec *spec, sl_group **group)
{
    sl_error error = {0};
    if (!sl_group_reset(cli->client, cli->operands[0], cli->operands[1], group_operand(cli), spec, group,
                        &error))
        return CLI_OK;
    return cli_fail(cli, &error);
}

/* Shows what would be, and asks. CLI_OK: go on. */
static int ask_first(struct cli *cli, const sl_reset_spec *spec)
{
    sl_reset_spec dry = *spec;
    sl_group *group = NULL;
    dry.dry_run = true;
    int code = reset_once(cli, &dry, &group);
    if (code)
        return code;
    code = print_change(cli, group);
    if (!code)
        code = cli_ask("Reset group %s so?", sl_group_name(group));
    sl_group_destroy(&group);
    return code;
}

static int group_reset(struct cli *cli)
{
    int32_t partitions[MOST_PARTITIONS];
    sl_reset_spec spec = {.struct_size = sizeof spec, .dry_run = cli_flag(cli, "dry-run")};
    int code = read_place(cli, &spec);
    if (!code)
        code = read_partitions(cli, partitions, &spec);
    bool sure = spec.dry_run || cli_flag(cli, "yes");
    bool asks = !sure && !cli->json && isatty(STDIN_FILENO) && isatty(STDOUT_FILENO);
    if (!code && !sure && !asks)
        code = cli_usage_error(cli, "--yes or --dry-run is needed where nobody can be asked: not on a "
                                    "terminal, and with --json");
    if (!code)
        code = cli_connect(cli);
    if (!code && asks)
        code = ask_first(cli, &spec);
    sl_group *group = NULL;
    if (!code)
        code = reset_once(cli, &spec, &group);
    if (code)
        return code;
    if (cli->json)
        code = print_text(cli, sl_group_json(group));
    else if (asks)
        printf("The group was reset.\n");
    else
        code = print_change(cli, group);
    if (!code && spec.dry_run && !cli->json)
        printf("Nothing was changed: a dry run.\n");
    sl_group_destroy(&group);
    return code ? code : cli_flush_output(cli);
}

const struct cli_command cli_group_reset_command = {
    .name = "group reset",
    .operands = "HRN LAYER [GROUP]",
    .min_operands = 2,
    .max_operands = 3,
    .summary = "move a consumer group to the begin, the end, a time or an offset",
    .details =
        "Shows what changes, and asks first; where nobody can be asked, --yes or --dry-run is needed. The "
        "group must have no members: stop its consumers first. An offset outside of what the layer has "
        "becomes its begin or end. A group that does not exist yet is made, and begins there.\n\n"
        "Without GROUP, or with -, it is the configured group (stream.consumer.group), or else the default "
        "one, made from application, catalog and layer.",
    .examples = "  streamlayer group reset hrn:here:data::local:traffic cars --to begin\n"
                "  streamlayer group reset HRN LAYER my-application --to @-10m --dry-run\n"
                "  streamlayer group reset HRN LAYER my-application --to 1200 --partition 3 --yes\n",
    .options = group_reset_options,
    .changes = true,
    .related = "consume",
    .run = group_reset,
};
