/* streamlayer usage: what was used of catalogs on the Marketplace, and statements of it */
#include "cli.h"
#include "gateway/api/jwk.h"
#include "gateway/api/statement.h"
#include "help.h"
#include "platform.h"
#include "position.h"

#include "base/buffer.h"
#include "base/text.h"
#include "base/time.h"
#include "client/client.h"
#include "config/settings.h"

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define BAR_WIDTH 50
#define DAY_MS    INT64_C(86400000)
#define DAYS_MAX  1000 /* in a chart */

static const char *const granularities[] = {"day", "hour", "month"}; /* in the order of the enum */
#define GRANULARITIES (sizeof granularities / sizeof *granularities)

static int read_time(const struct cli *cli, const char *name, int64_t *ms)
{
    const char *text = cli_value(cli, name);
    if (!text || (cli_time_parse(text, sl_wall_ms(), ms) && *ms >= 0))
        return CLI_OK;
    return cli_usage_error(
        cli, "--%s %s: a time is needed, such as 2026-11-01, 2026-11-01T00:00Z or -30d (ago)", name, text);
}

static int read_filter(const struct cli *cli, sl_usage_filter *filter)
{
    *filter = (sl_usage_filter){.struct_size = sizeof *filter,
                                .application = cli_value(cli, "application"),
                                .hrn = cli_value(cli, "catalog"),
                                .layer = cli_value(cli, "layer"),
                                .from_ms = -1,
                                .to_ms = -1};
    const char *by = cli_value(cli, "by");
    size_t i = 0;
    while (by && i < GRANULARITIES && strcmp(by, granularities[i]) != 0)
        i++;
    if (i == GRANULARITIES)
        return cli_usage_error(cli, "--by %s: hour, day or month is needed", by);
    filter->granularity = (sl_usage_granularity)i;
    int code = read_time(cli, "from", &filter->from_ms);
    if (!code)
        code = read_time(cli, "to", &filter->to_ms);
    if (!code && filter->to_ms >= 0 && filter->from_ms >= filter->to_ms)
        code = cli_usage_error(cli, "--from %s: it must be before --to %s", cli_value(cli, "from"),
                               cli_value(cli, "to"));
    return code;
}

/* --- show --- */

/* "2026-11-30 12:00:00", UTC, or the first characters of it. */
enum { TO_MONTH = 7, TO_DAY = 10, TO_MINUTE = 16, TO_SECOND = 19 };
static void format_utc(int64_t ms, size_t length, char out[32])
{
    time_t seconds = (time_t)(ms / 1000);
    struct tm utc = {0};
    gmtime_r(&seconds, &utc);
    if (!strftime(out, 32, "%Y-%m-%d %H:%M:%S", &utc))
        *out = 0;
    out[length] = 0;
}

static const char *name_of(const char *name, const char *application)
{
    return name ? name : application;
}

/* A cell of RFC 4180. What a spreadsheet would take for a formula is made a text. */
static void csv_cell(const char *text)
{
    bool formula = *text && strchr("=+-@\t\r", *text);
    if (!formula && !strpbrk(text, ",\"\r\n")) {
        fputs(text, stdout);
        return;
    }
    fputs(formula ? "\"'" : "\"", stdout);
    for (; *text; text++) {
        if (*text == '"')
            putchar('"');
        putchar(*text);
    }
    putchar('"');
}

static void print_csv(const sl_usage_list *list)
{
    sl_usage usage = {.struct_size = sizeof usage};
    fputs("from (UTC),to (UTC),application,application id,catalog,layer,consumer group,calls in,calls out,"
          "messages in,messages out,payload in (bytes),payload out (bytes),blobs in (bytes),"
          "blobs out (bytes)\r\n",
          stdout);
    for (size_t i = 0; sl_usage_list_at(list, i, &usage); i++) {
        char from[32], to[32];
        const char *texts[] = {name_of(usage.name, usage.application), usage.application, usage.hrn,
                               usage.layer, usage.group};
        const int64_t numbers[] = {usage.calls_in,      usage.calls_out,     usage.messages_in,
                                   usage.messages_out,  usage.bytes_in,      usage.bytes_out,
                                   usage.blob_bytes_in, usage.blob_bytes_out};
        format_utc(usage.from_ms, TO_SECOND, from);
        format_utc(usage.to_ms, TO_SECOND, to);
        printf("%s,%s", from, to);
        for (size_t k = 0; k < sizeof texts / sizeof *texts; k++) {
            putchar(',');
            csv_cell(texts[k]);
        }
        for (size_t k = 0; k < sizeof numbers / sizeof *numbers; k++)
            printf(",%lld", (long long)numbers[k]);
        fputs("\r\n", stdout);
    }
}

static int print_table(const struct cli *cli, const sl_usage_list *list, sl_usage_granularity by)
{
    static const char *const titles[] = {"FROM (UTC)",  "APPLICATION",  "CATALOG",   "LAYER",     "GROUP",
                                         "CALLS OUT",   "MESSAGES OUT", "BYTES OUT", "BLOBS OUT", "CALLS IN",
                                         "MESSAGES IN", "BYTES IN",     "BLOBS IN"};
    const size_t columns = sizeof titles / sizeof *titles, first = 5;
    struct cli_table *table = cli_table_create(columns, titles);
    sl_usage usage = {.struct_size = sizeof usage};
    for (size_t i = 0; sl_usage_list_at(list, i, &usage); i++) {
        char from[32], numbers[8][24];
        const int64_t values[] = {usage.calls_out, usage.messages_out, usage.bytes_out, usage.blob_bytes_out,
                                  usage.calls_in,  usage.messages_in,  usage.bytes_in,  usage.blob_bytes_in};
        format_utc(usage.from_ms,
                   by == SL_USAGE_BY_HOUR    ? TO_MINUTE
                   : by == SL_USAGE_BY_MONTH ? TO_MONTH
                                             : TO_DAY,
                   from);
        const char *cells[13] = {from, name_of(usage.name, usage.application), usage.hrn, usage.layer,
                                 *usage.group ? usage.group : "-"};
        for (size_t k = 0; k < sizeof values / sizeof *values; k++) {
            snprintf(numbers[k], sizeof numbers[k], "%lld", (long long)values[k]);
            cells[first + k] = numbers[k];
        }
        cli_table_row(table, cells);
    }
    return cli_table_finish(cli, &table);
}

/* A bar a day: payload and blobs out, of all that is listed together. */
static int print_chart(const struct cli *cli, const sl_usage_list *list)
{
    sl_usage usage = {.struct_size = sizeof usage};
    int64_t first = INT64_MAX, last = -1, most = 0;
    for (size_t i = 0; sl_usage_list_at(list, i, &usage); i++) {
        int64_t day = usage.from_ms / DAY_MS;
        first = day < first ? day : first;
        last = day > last ? day : last;
    }
    if (last < 0)
        return CLI_OK;
    if (last - first >= DAYS_MAX)
        return cli_usage_error(cli, "--chart: %lld days are more than a chart has room for, %d: give --from",
                               (long long)(last - first + 1), DAYS_MAX);
    int64_t *days = calloc((size_t)(last - first + 1), sizeof *days);
    if (!days)
        return cli_out_of_memory(cli);
    for (size_t i = 0; sl_usage_list_at(list, i, &usage); i++) {
        int64_t *day = &days[usage.from_ms / DAY_MS - first];
        *day += usage.bytes_out + usage.blob_bytes_out;
        most = *day > most ? *day : most;
    }
    for (int64_t day = first; day <= last; day++) {
        char date[32], bytes[32], bar[BAR_WIDTH + 1] = "";
        int64_t value = days[day - first];
        size_t length = most ? (size_t)((double)value / (double)most * BAR_WIDTH + 0.5) : 0;
        memset(bar, '#', value && !length ? 1 : length); /* little is not nothing */
        format_utc(day * DAY_MS, TO_DAY, date);
        cli_format_bytes((double)value, bytes);
        printf("%s  %-*s  %s\n", date, BAR_WIDTH, bar, bytes);
    }
    free(days);
    return CLI_OK;
}

/* An empty table may mean that nothing is ever counted there. */
static void explain_nothing(const struct cli *cli, const sl_usage_list *list, const char *hrn)
{
    sl_usage usage = {.struct_size = sizeof usage};
    if (hrn && !sl_usage_list_at(list, 0, &usage) && cli_platform_market(cli, hrn) == CLI_NOT_ON_MARKETPLACE)
        cli_warning(cli, "%s is not on the Marketplace: what is used of it is not counted", hrn);
}

static int show(struct cli *cli)
{
    sl_error error = {0};
    sl_usage_list *list = NULL;
    sl_usage_filter filter;
    int code = read_filter(cli, &filter);
    bool chart = cli_flag(cli, "chart"), csv = cli_flag(cli, "csv");
    if (!code && chart + csv + cli->json > 1)
        code = cli_usage_error(cli, "of --csv, --chart and --json one can be had");
    if (!code && chart && filter.granularity != SL_USAGE_BY_DAY)
        code = cli_usage_error(cli, "--chart is by day");
    if (!code)
        code = cli_connect(cli);
    if (code)
        return code;
    if (sl_usage_list_get(cli->client, &filter, &list, &error))
        return cli_fail(cli, &error);
    if (cli->json)
        puts(sl_usage_list_json(list));
    else if (csv)
        print_csv(list);
    else if (chart)
        code = print_chart(cli, list);
    else
        code = print_table(cli, list, filter.granularity);
    explain_nothing(cli, list, filter.hrn);
    sl_usage_list_destroy(&list);
    return code;
}

/* --- unconfirmed --- */

static int print_unconfirmed(const struct cli *cli, const sl_usage_unconfirmed_list *list)
{
    static const char *const titles[] = {"LEFT AT", "STATE",    "APPLICATION", "CATALOG", "LAYER",
                                         "GROUP",   "MESSAGES", "BYTES",       "BLOBS"};
    struct cli_table *table = cli_table_create(9, titles);
    sl_usage_unconfirmed one = {.struct_size = sizeof one};
    for (size_t i = 0; sl_usage_unconfirmed_list_at(list, i, &one); i++) {
        char at[32], messages[24], bytes[24], blobs[24];
        cli_format_time(one.at_ms, "-", at);
        snprintf(messages, sizeof messages, "%lld", (long long)one.messages);
        snprintf(bytes, sizeof bytes, "%lld", (long long)one.bytes);
        snprintf(blobs, sizeof blobs, "%lld", (long long)one.blob_bytes);
        const char *cells[] = {at,
                               one.open ? "under way" : "unconfirmed",
                               name_of(one.name, one.application),
                               one.hrn,
                               one.layer,
                               *one.group ? one.group : "-",
                               messages,
                               bytes,
                               blobs};
        cli_table_row(table, cells);
    }
    return cli_table_finish(cli, &table);
}

static int unconfirmed(struct cli *cli)
{
    sl_error error = {0};
    sl_usage_unconfirmed_list *list = NULL;
    sl_usage_filter filter;
    int code = read_filter(cli, &filter);
    if (!code)
        code = cli_connect(cli);
    if (code)
        return code;
    if (sl_usage_unconfirmed_list_get(cli->client, &filter, &list, &error))
        return cli_fail(cli, &error);
    if (cli->json)
        puts(sl_usage_unconfirmed_list_json(list));
    else
        code = print_unconfirmed(cli, list);
    sl_usage_unconfirmed_list_destroy(&list);
    return code;
}

/* --- statement and verify --- */

static bool is_month(const char *text)
{
    struct tm parts;
    const char *end = strlen(text) == 7 && text[4] == '-' ? strptime(text, "%Y-%m", &parts) : NULL;
    return end && !*end;
}

/* On a bill nobody would look for a word in the JSON. */
static bool is_complete(const json_t *statement)
{
    return json_is_true(json_object_get(statement, "complete"));
}

static void warn_of_incomplete(const struct cli *cli, const char *month, const char *text)
{
    json_t *value = json_loads(text, 0, NULL);
    if (value && !is_complete(json_object_get(value, "statement")))
        cli_warning(
            cli, "%s is not over: the statement says \"complete\": false, and is no bill; make it again then",
            month);
    json_decref(value);
}

static int statement(struct cli *cli)
{
    sl_error error = {0};
    sl_usage_filter filter;
    char *text = NULL;
    const char *month = cli_value(cli, "month");
    int code = read_filter(cli, &filter);
    if (!code && !month)
        code = cli_usage_error(cli, "usage statement needs --month YYYY-MM, such as --month 2026-11");
    else if (!code && !is_month(month))
        code = cli_usage_error(cli, "--month %s: a month is needed, YYYY-MM, such as 2026-11", month);
    if (!code)
        code = cli_connect(cli);
    if (code)
        return code;
    if (sl_usage_statement_get(cli->client, month, &filter, &text, &error))
        return cli_fail(cli, &error);
    puts(text);
    warn_of_incomplete(cli, month, text);
    sl_free(text);
    return CLI_OK;
}

/* A file's text ("-": standard input). */
static int read_file(const struct cli *cli, const char *name, struct sl_buffer *text)
{
    bool standard = !strcmp(name, "-");
    FILE *in = standard ? stdin : fopen(name, "re");
    char piece[65536];
    size_t got;
    sl_buffer_init(text, GW_STATEMENT_MAX);
    if (!in)
        return cli_file_error(cli, name, errno);
    while ((got = fread(piece, 1, sizeof piece, in)) > 0 && sl_buffer_append(text, piece, got)) {
    }
    int failure = ferror(in) ? errno : 0;
    if (!standard)
        fclose(in);
    if (failure)
        return cli_file_error(cli, name, failure);
    return text->failed ? cli_error_as(cli, SL_TOO_LARGE, "%s has more than %zu bytes, or memory is out",
                                       name, GW_STATEMENT_MAX)
                        : CLI_OK;
}

/* The platform's keys, which are there for everybody: lookup, which would need credentials, is not asked
 * where.
 */
static int fetch_keys(struct cli *cli, struct sl_buffer *keys)
{
    static const char lookup[] = "/lookup/v1";
    sl_error error = {0};
    char *base = NULL;
    json_t *value = NULL;
    int code = cli_load_config(cli);
    if (code)
        return code;
    if (sl_config_set(cli->config, SL_ROOT "request-signer.credentials.here-token", "none", &error) ||
        sl_config_lookup_url(cli->config, &base, &error))
        return cli_fail(cli, &error);
    code = cli_connect(cli);
    size_t length = strlen(base), tail = sizeof lookup - 1;
    if (length > tail && !strcmp(base + length - tail, lookup))
        base[length - tail] = 0;
    char *url = code ? NULL : sl_printf("%s/usage/v1/jwks", base);
    char *text = NULL;
    if (!code && !url)
        code = cli_out_of_memory(cli);
    if (!code && sl_client_call_json(cli->client, "GET", url, NULL, &value, &error))
        code = cli_fail(cli, &error);
    if (!code && (!(text = json_dumps(value, JSON_COMPACT)) || !sl_buffer_append_text(keys, text)))
        code = cli_out_of_memory(cli);
    json_decref(value);
    free(text);
    free(url);
    free(base);
    return code;
}

/* The keys of a file, or the platform's; they are looked at before anything is blamed on the statement. */
static int read_keys(struct cli *cli, struct sl_buffer *keys)
{
    const char *file = cli_value(cli, "keys");
    struct gw_jwk *parsed[GW_JWKS_KEYS_MAX];
    size_t count = 0;
    sl_error error = {0};
    sl_buffer_init(keys, GW_STATEMENT_MAX);
    int code = file ? read_file(cli, file, keys) : fetch_keys(cli, keys);
    if (code)
        return code;
    if (gw_jwks_parse(keys->data ? keys->data : "", keys->size, parsed, &count, &error))
        return cli_fail_as(cli, &error, "%s%s: %s", file ? "--keys " : "the platform's keys",
                           file ? file : "", error.text);
    for (size_t i = 0; i < count; i++)
        gw_jwk_unlink(parsed[i]);
    return CLI_OK;
}

/* Another caller's statement of the same catalog has other figures. */
static void tell_whose(const json_t *value)
{
    const char *application = json_string_value(json_object_get(value, "application"));
    const char *catalog = json_string_value(json_object_get(value, "catalog"));
    printf("It has what %s may see%s%s%s%s.\n", json_string_value(json_object_get(value, "madeFor")),
           application ? ", of the application " : "", application ? application : "",
           catalog ? ", of the catalog " : "", catalog ? catalog : "");
}

static int tell_verified(const struct cli *cli, const json_t *value)
{
    const json_t *sum = json_object_get(value, "sum");
    if (cli->json) {
        json_dumpf(value, stdout, JSON_INDENT(2));
        putchar('\n');
        return CLI_OK;
    }
    size_t lines = json_array_size(json_object_get(value, "lines"));
    printf("Good: the statement of %s by %s, made at %s, is as it was signed: %zu %s, %lld messages and %lld "
           "bytes out, %lld bytes of blobs out.\n",
           json_string_value(json_object_get(value, "month")),
           json_string_value(json_object_get(value, "issuer")),
           json_string_value(json_object_get(value, "made")), lines, sl_plural(lines, "line", "lines"),
           (long long)json_integer_value(json_object_get(sum, "messagesOut")),
           (long long)json_integer_value(json_object_get(sum, "bytesOut")),
           (long long)json_integer_value(json_object_get(sum, "blobBytesOut")));
    tell_whose(value);
    if (!is_complete(value))
        printf("It is no bill: the month was not over when it was made.\n");
    return CLI_OK;
}

static int verify(struct cli *cli)
{
    struct sl_buffer text = {0}, keys = {0};
    sl_error error = {0};
    json_t *value = NULL;
    const char *file = cli->operands[1];
    int code = read_file(cli, file, &text);
    if (!code)
        code = read_keys(cli, &keys);
    if (!code && gw_statement_verify(text.data ? text.data : "", text.size, keys.data ? keys.data : "",
                                     keys.size, &value, &error))
        code = cli_fail_as(cli, &error, "%s is not to be trusted: %s", file, error.text);
    if (!code)
        code = tell_verified(cli, value);
    json_decref(value);
    sl_buffer_free(&text);
    sl_buffer_free(&keys);
    return code;
}

static const struct cli_option usage_options[] = {
    {0, "application", "APPLICATION", "only what that application has used, by its name or id"},
    {0, "catalog", "HRN", "only of that catalog"},
    {0, "layer", "LAYER", "only of the layer with that id"},
    {0, "from", "TIME", "from the hour that TIME is in"},
    {0, "to", "TIME", "to the hour that TIME is in; without it where TIME is its begin"},
    {0, "by", "hour|day|month", "what is added up, in UTC; without: day"},
    {0, "csv", NULL, "as CSV, for spreadsheets: times in UTC, bytes, no thousands' separators"},
    {0, "chart", NULL, "a bar for each day: payload and blobs that went out"},
    {0, "month", "YYYY-MM", "statement: its month"},
    {0, "keys", "FILE", "verify: the keys (a JWKS), without asking the platform"},
    {0, NULL, NULL, NULL},
};

/* What is asked of usage; options: those of its own that it takes. */
static const struct action {
    const char *name;
    size_t operands;
    int (*run)(struct cli *cli);
    const char *options;
} actions[] = {{"show", 1, show, " application catalog layer from to by csv chart "},
               {"unconfirmed", 1, unconfirmed, " application catalog layer from to "},
               {"statement", 1, statement, " application catalog layer month "},
               {"verify", 2, verify, " keys "}};

/* An option that would be passed over is one that was meant. */
static int check_options(const struct cli *cli, const struct action *action)
{
    for (const struct cli_option *each = usage_options; !cli_option_is_end(each); each++) {
        char word[32];
        snprintf(word, sizeof word, " %s ", each->name);
        if (!cli_flag(cli, each->name) || strstr(action->options, word))
            continue;
        const struct action *other = actions;
        while (!strstr(other->options, word))
            other++;
        return cli_usage_error(cli, "usage %s does not take --%s, which is of usage %s", action->name,
                               each->name, other->name);
    }
    return CLI_OK;
}

static int usage(struct cli *cli)
{
    const char *name = cli->operand_count ? cli->operands[0] : "show";
    size_t count = sizeof actions / sizeof *actions, at = 0;
    while (at < count && strcmp(actions[at].name, name) != 0)
        at++;
    if (at == count)
        return cli_usage_error(cli, "usage does not take \"%s\": show, unconfirmed, statement or verify FILE",
                               name);
    if (cli->operand_count > actions[at].operands)
        return cli_usage_error(cli, "usage %s does not take \"%s\"", name,
                               cli->operands[actions[at].operands]);
    if (actions[at].operands == 2 && cli->operand_count < 2)
        return cli_usage_error(cli, "usage verify needs the FILE that \"usage statement\" wrote");
    int code = check_options(cli, &actions[at]);
    if (!code)
        code = actions[at].run(cli);
    return code ? code : cli_flush_output(cli);
}

const struct cli_command cli_usage_command = {
    .name = "usage",
    .operands = "[show|unconfirmed|statement|verify] [FILE]",
    .min_operands = 0,
    .max_operands = 2,
    .summary = "what was used of catalogs on the Marketplace",
    .details =
        "An application sees its own usage, whoever manages a catalog sees what all have used of it, "
        "administrators see all. show, also without an operand: calls, messages and bytes, by application, "
        "catalog, layer and consumer group. unconfirmed: deliveries that are counted, and of which nobody "
        "knows whether they arrived.\n\n"
        "statement prints the month's sums, signed by the platform; verify FILE checks one (-: standard "
        "input), with the platform's keys, for which it needs no credentials, or those of --keys, and says "
        "which figure was changed.\n\n"
        "TIME: " CLI_TIME_FORMS,
    .examples = "  streamlayer usage --from -30d --chart\n"
                "  streamlayer usage --catalog hrn:here:data::local:roads --by month --csv > roads.csv\n"
                "  streamlayer usage statement --month 2026-11 > 2026-11.json\n"
                "  streamlayer usage verify 2026-11.json\n",
    .options = usage_options,
    .related = "marketplace list",
    .run = usage,
};
