/* streamlayer marketplace subscribe|list|unsubscribe: who may read what is offered on the Marketplace */
#include "cli.h"
#include "position.h"

#include "base/text.h"
#include "base/time.h"

#include <stdlib.h>
#include <string.h>

static const char *const periods[] = {"all", "month", "day"}; /* in the order of sl_marketplace_period */
#define PERIODS   (sizeof periods / sizeof *periods)
#define NONE      "none" /* of a term: it is not to have any */
#define KBPS_MAX  2000
#define BYTES_MAX 9e15 /* what a number of JSON's is exact to */

static bool is_none(const struct cli *cli, const char *name)
{
    const char *text = cli_value(cli, name);
    return text && !strcmp(text, NONE);
}

/* A time, or with + a time from now. */
static int read_time(const struct cli *cli, const char *name, int64_t *ms)
{
    const char *text = cli_value(cli, name);
    if (!text)
        return CLI_OK;
    int64_t now_ms = sl_wall_ms();
    bool ahead = *text == '+';
    char *back = ahead ? sl_printf("-%s", text + 1) : NULL; /* so long ago, mirrored at now */
    if (ahead && !back)
        return cli_out_of_memory(cli);
    bool good = cli_time_parse(ahead ? back : text, now_ms, ms);
    free(back);
    if (ahead)
        *ms = now_ms + (now_ms - *ms);
    return good && *ms >= 0 ? CLI_OK
                            : cli_usage_error(cli,
                                              "--%s %s: a time is needed, such as 2027-01-31, "
                                              "2027-01-31T00:00Z or +30d (from now)",
                                              name, text);
}

/* "500000", "10GB", "1.5TiB". */
static int read_bytes(const struct cli *cli, const char *name, int64_t *bytes)
{
    static const struct {
        const char *name;
        double factor;
    } units[] = {{"", 1},      {"B", 1},      {"kB", 1e3},     {"KB", 1e3},     {"MB", 1e6},    {"GB", 1e9},
                 {"TB", 1e12}, {"KiB", 1024}, {"MiB", 0x1p20}, {"GiB", 0x1p30}, {"TiB", 0x1p40}};
    const char *text = cli_value(cli, name);
    if (!text)
        return CLI_OK;
    char *end = NULL;
    double number = *text >= '0' && *text <= '9' ? strtod(text, &end) : 0;
    for (size_t i = 0; end && i < sizeof units / sizeof *units; i++)
        if (!strcmp(end + strspn(end, " "), units[i].name)) {
            number *= units[i].factor;
            if (number > BYTES_MAX)
                return cli_usage_error(cli, "--%s %s: that is too much: %lld bytes at most", name, text,
                                       (long long)BYTES_MAX);
            *bytes = number >= 1 ? (int64_t)number : 0;
        }
    return *bytes
               ? CLI_OK
               : cli_usage_error(cli, "--%s %s: bytes are needed, such as 500MB, 10GB or 2TiB", name, text);
}

static int read_period(const struct cli *cli, sl_marketplace_period *period)
{
    const char *text = cli_value(cli, "period");
    if (!text)
        return CLI_OK;
    for (size_t i = 0; i < PERIODS; i++)
        if (!strcmp(text, periods[i])) {
            *period = (sl_marketplace_period)i;
            return CLI_OK;
        }
    return cli_usage_error(cli, "--period %s: day, month or all is needed", text);
}

/* The terms that are named. */
static int read_terms(const struct cli *cli, sl_marketplace_terms *terms)
{
    int64_t kbps = 0;
    int code = read_time(cli, "from", &terms->from_ms);
    if (!code && !is_none(cli, "until"))
        code = read_time(cli, "until", &terms->until_ms);
    if (!code && !cli_number(cli, "out-kbps", 1, KBPS_MAX, &kbps))
        return CLI_USAGE;
    terms->out_kbps = (int)kbps;
    if (!code && !is_none(cli, "volume"))
        code = read_bytes(cli, "volume", &terms->volume_bytes);
    return code ? code : read_period(cli, &terms->period);
}

static void format_volume(const sl_marketplace_terms *terms, char out[64])
{
    char bytes[32];
    if (!terms->volume_bytes) {
        snprintf(out, 64, "-");
        return;
    }
    cli_format_bytes((double)terms->volume_bytes, bytes);
    const char *period = terms->period < PERIODS ? periods[terms->period] : "all";
    snprintf(out, 64, terms->period == SL_PERIOD_ALL ? "%s" : "%s a %s", bytes, period);
}

/* What is not named stays as it was, as with grant and layer update: else who prolongs a subscription would
 * take its bounds away with the same word. It is told, so that nothing of it is a surprise. */
static int keep_terms(const struct cli *cli, const sl_marketplace_terms *before, sl_marketplace_terms *terms)
{
    char until[96] = "", kbps[32] = "", volume[32] = "", period[32] = "", text[64];
    if (!cli_value(cli, "until") && before->until_ms >= 0) {
        cli_format_time(before->until_ms, "-", text);
        if (before->until_ms <= sl_wall_ms())
            return cli_usage_error(
                cli, "the subscription of %s to %s has ended, at %s: give --until, a time or \"" NONE "\"",
                cli->operands[0], cli->operands[1], text);
        terms->until_ms = before->until_ms;
        snprintf(until, sizeof until, " --until %s", text);
    }
    if (!cli_value(cli, "out-kbps") && before->out_kbps < KBPS_MAX) {
        terms->out_kbps = before->out_kbps;
        snprintf(kbps, sizeof kbps, " --out-kbps %d", before->out_kbps);
    }
    bool keeps = !cli_value(cli, "volume") && before->volume_bytes;
    if (keeps)
        terms->volume_bytes = before->volume_bytes;
    if (terms->volume_bytes && before->volume_bytes && !cli_value(cli, "period"))
        terms->period = before->period;
    if (keeps) /* to the byte: whoever gives the line again changes nothing */
        snprintf(volume, sizeof volume, " --volume %lld", (long long)terms->volume_bytes);
    if (terms->period != SL_PERIOD_ALL && !cli_value(cli, "period"))
        snprintf(period, sizeof period, " --period %s", periods[terms->period]);
    if (*until || *kbps || *volume || *period)
        cli_hint(cli, "Kept of the subscription before:%s%s%s%s", until, kbps, volume, period);
    if (!terms->volume_bytes && before->volume_bytes && before->period != SL_PERIOD_ALL)
        cli_hint(cli, "Removed: --volume %lld, and with it --period %s, which it was counted in.",
                 (long long)before->volume_bytes, periods[before->period]);
    return CLI_OK;
}

static int keep_what_is_not_named(struct cli *cli, sl_marketplace_terms *terms)
{
    sl_error error = {0};
    sl_marketplace_list *list = NULL;
    sl_marketplace_subscription one = {.struct_size = sizeof one};
    int code = CLI_OK;
    if (sl_marketplace_list_get(cli->client, cli->operands[1], &list, &error))
        return cli_fail(cli, &error);
    for (size_t i = 0; sl_marketplace_list_at(list, i, &one); i++)
        if (!strcmp(one.application, cli->operands[0]) || !strcmp(one.name, cli->operands[0])) {
            code = keep_terms(cli, &one.terms, terms);
            break;
        }
    sl_marketplace_list_destroy(&list);
    if (!code && cli_value(cli, "period") && !terms->volume_bytes)
        code = cli_usage_error(cli, "--period is what --volume is counted in, which is missing");
    return code;
}

static int subscribe(struct cli *cli)
{
    sl_error error = {0};
    sl_marketplace_terms terms = {.struct_size = sizeof terms, .from_ms = -1, .until_ms = -1};
    int code = read_terms(cli, &terms);
    if (!code)
        code = cli_connect(cli);
    if (!code)
        code = keep_what_is_not_named(cli, &terms);
    if (code)
        return code;
    if (sl_marketplace_subscribe(cli->client, cli->operands[0], cli->operands[1], &terms, &error))
        return cli_fail(cli, &error);
    if (cli_value(cli, "out-kbps") && terms.out_kbps == KBPS_MAX)
        cli_hint(cli,
                 "%d KBps are kept only where the gateway keeps what layers give "
                 "(streamlayer.gateway.limits.throughput); what is less always is.",
                 KBPS_MAX);
    return CLI_OK;
}

static const struct cli_option subscribe_options[] = {
    {0, "from", "TIME", "it begins then; without: when the one before it did, or now"},
    {0, "until", "TIME", "it ends then; \"none\", or nothing before: it has no end"},
    {0, "out-kbps", "KBPS",
     "KBps that are delivered at most, 1 to 2000; without, and nothing before: 2000, which is kept only "
     "where "
     "limits.throughput is"},
    {0, "volume", "BYTES",
     "what may be consumed in a period, such as 10GB; \"none\", or nothing before: as much as there is; "
     "\"none\" takes the period away, too"},
    {0, "period", "day|month|all", "what the volume is counted in, in UTC; without, and nothing before: all"},
    {0, NULL, NULL, NULL},
};

const struct cli_command cli_marketplace_subscribe_command = {
    .name = "marketplace subscribe",
    .operands = "NAME HRN",
    .min_operands = 2,
    .max_operands = 2,
    .summary = "let an application read a catalog that is on the Marketplace",
    .details = "Gives the application NAME a Marketplace subscription to the catalog. It may read the "
               "catalog's layers over HTTP for as long as that lasts; without one a grant to read gives "
               "nothing there. Whoever manages the catalog is its provider, gives subscriptions and needs "
               "none.\n\n"
               "Where NAME has one, it is changed: what no option names stays as it is, and is told.\n\n"
               "TIME: " CLI_TIME_FORMS ",\nor +30d, from now.",
    .examples =
        "  streamlayer marketplace subscribe fleet hrn:here:data::local:roads --until 2027-01-01T00:00Z\n"
        "  streamlayer marketplace subscribe fleet hrn:here:data::local:roads --volume 10GB --period month\n"
        "  streamlayer marketplace subscribe fleet hrn:here:data::local:roads --until none\n",
    .options = subscribe_options,
    .changes = true,
    .related = "marketplace list,marketplace unsubscribe,catalog create",
    .run = subscribe,
};

static const char *state_of(const sl_marketplace_terms *terms, int64_t now_ms)
{
    if (now_ms < terms->from_ms)
        return "not begun";
    return terms->until_ms < 0 || now_ms < terms->until_ms ? "current" : "ended";
}

static int print_list(const struct cli *cli, const sl_marketplace_list *list)
{
    static const char *const titles[] = {"APPLICATION", "CATALOG", "STATE", "FROM",
                                         "UNTIL",       "KBPS",    "VOLUME"};
    if (cli->json) {
        puts(sl_marketplace_list_json(list));
        return CLI_OK;
    }
    struct cli_table *table = cli_table_create(7, titles);
    sl_marketplace_subscription one = {.struct_size = sizeof one};
    int64_t now_ms = sl_wall_ms();
    for (size_t i = 0; sl_marketplace_list_at(list, i, &one); i++) {
        char from[32], until[32], kbps[16], volume[64];
        cli_format_time(one.terms.from_ms, "-", from);
        cli_format_time(one.terms.until_ms, "-", until);
        snprintf(kbps, sizeof kbps, "%d", one.terms.out_kbps);
        format_volume(&one.terms, volume);
        const char *cells[] = {one.name, one.hrn, state_of(&one.terms, now_ms), from, until, kbps, volume};
        cli_table_row(table, cells);
    }
    return cli_table_finish(cli, &table);
}

static int list(struct cli *cli)
{
    sl_error error = {0};
    sl_marketplace_list *found = NULL;
    int code = cli_connect(cli);
    if (code)
        return code;
    if (sl_marketplace_list_get(cli->client, cli->operand_count ? cli->operands[0] : NULL, &found, &error))
        return cli_fail(cli, &error);
    code = print_list(cli, found);
    sl_marketplace_list_destroy(&found);
    return code ? code : cli_flush_output(cli);
}

const struct cli_command cli_marketplace_list_command = {
    .name = "marketplace list",
    .operands = "[HRN]",
    .min_operands = 0,
    .max_operands = 1,
    .summary = "list Marketplace subscriptions",
    .details = "With HRN: those to that catalog, for whoever manages it. Without: this application's own.",
    .examples = "  streamlayer marketplace list\n"
                "  streamlayer marketplace list hrn:here:data::local:roads --json\n",
    .related = "marketplace subscribe",
    .run = list,
};

static int unsubscribe(struct cli *cli)
{
    sl_error error = {0};
    int code = cli_connect(cli);
    if (code)
        return code;
    return sl_marketplace_unsubscribe(cli->client, cli->operands[0], cli->operands[1], &error)
               ? cli_fail(cli, &error)
               : CLI_OK;
}

const struct cli_command cli_marketplace_unsubscribe_command = {
    .name = "marketplace unsubscribe",
    .operands = "NAME HRN",
    .min_operands = 2,
    .max_operands = 2,
    .summary = "take an application's Marketplace subscription",
    .details = "Its next poll is refused; what it has fetched it keeps, and that stays counted.",
    .examples = "  streamlayer marketplace unsubscribe fleet hrn:here:data::local:roads\n",
    .changes = true,
    .related = "marketplace subscribe",
    .run = unsubscribe,
};
