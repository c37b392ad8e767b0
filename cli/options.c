/* The command line's options, read from the tables that --help prints. */
#include "base/text.h"
#include "help.h"

#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

const struct cli_option cli_global_options[] = {
    {'c', "config", "FILE", "configuration file, instead of STREAMLAYER_CONFIG or ./application.conf"},
    {0, "context", "CONTEXT", "the platform of that name (see `streamlayer context`), instead of a file"},
    {'D', NULL, "PATH=VALUE", "sets one setting, over every file (repeatable)"},
    {'j', "json", NULL, "output for programs: JSON"},
    {0, "no-color", NULL, "no colours (also by NO_COLOR in the environment)"},
    {'v', "verbose", NULL, "more messages on standard error, and a summary at the end; twice: still more"},
    {'h', "help", NULL, "this help"},
    {0, "version", NULL, "the version (before a command only)"},
    {0, NULL, NULL, NULL},
};

static size_t table_size(const struct cli_option *options)
{
    size_t count = 0;
    while (options && !cli_option_is_end(&options[count]))
        count++;
    return count;
}

/* What getopt_long wants, made from two tables. val is the option's place plus an offset no letter has. */
#define FIRST_INDEX 1000
struct getopt_tables {
    const struct cli_option **options;
    size_t count;
    struct option *longs;
    char *letters;
};

static bool make_tables(struct getopt_tables *tables, const struct cli_option *own, bool stop_at_operand)
{
    size_t globals = table_size(cli_global_options), count = globals + table_size(own), at = 0;
    *tables = (struct getopt_tables){
        .options = calloc(count + 1, sizeof *tables->options),
        .longs = calloc(count + 1, sizeof *tables->longs),
        .letters = calloc(1, 2 * count + 3),
        .count = count,
    };
    if (!tables->options || !tables->longs || !tables->letters)
        return false;
    char *letter = tables->letters;
    if (stop_at_operand)
        *letter++ = '+';
    *letter++ = ':';
    for (size_t i = 0; i < count; i++) {
        const struct cli_option *option = i < globals || !own ? &cli_global_options[i] : &own[i - globals];
        tables->options[i] = option;
        if (option->name)
            tables->longs[at++] = (struct option){
                option->name, option->argument ? required_argument : no_argument, NULL, FIRST_INDEX + (int)i};
        if (option->letter) {
            *letter++ = option->letter;
            if (option->argument)
                *letter++ = ':';
        }
    }
    return true;
}

static void free_tables(struct getopt_tables *tables)
{
    free(tables->options);
    free(tables->longs);
    free(tables->letters);
}

static const struct cli_option *find(const struct getopt_tables *tables, int code)
{
    if (code >= FIRST_INDEX)
        return tables->options[code - FIRST_INDEX];
    for (size_t i = 0; i < tables->count; i++)
        if (tables->options[i]->letter == code)
            return tables->options[i];
    return NULL;
}

#define LONGEST_NAME 31

bool cli_similar(const char *given, const char *name)
{
    size_t width = strlen(name), length = strlen(given);
    if (length >= 3 && !strncmp(name, given, length))
        return true;
    if (width > LONGEST_NAME || length > LONGEST_NAME || length < 3)
        return false;
    return sl_edit_distance(given, name) <= (width > 4 ? 2 : 1);
}

/* Whether several begin so; names: them. */
static bool is_ambiguous(const struct getopt_tables *tables, const char *given, char *names, size_t size)
{
    size_t count = 0, length = 0;
    for (size_t i = 0; i < tables->count; i++) {
        const char *name = tables->options[i]->name;
        if (!name || strncmp(name, given, strlen(given)) != 0)
            continue;
        if (length < size)
            length += (size_t)snprintf(names + length, size - length, "%s--%s", count ? " or " : "", name);
        count++;
    }
    return count > 1;
}

static void unknown_option(const struct cli *cli, const struct getopt_tables *tables, const char *word)
{
    char given[LONGEST_NAME + 1], begun[400];
    snprintf(given, sizeof given, "%s", word + strspn(word, "-"));
    given[strcspn(given, "=")] = 0;
    if (is_ambiguous(tables, given, begun, sizeof begun)) {
        cli_usage_error(cli, "ambiguous option %s: %s", word, begun);
        return;
    }
    for (size_t i = 0; i < tables->count; i++) {
        const char *name = tables->options[i]->name;
        if (name && cli_similar(given, name)) {
            cli_usage_error(cli, "unknown option %s; did you mean --%s?", word, name);
            return;
        }
    }
    cli_usage_error(cli, "unknown option %s", word);
}

bool cli_option_given(struct cli *cli, const struct cli_option *option, const char *value)
{
    struct cli_given *given = realloc(cli->given, (cli->given_count + 1) * sizeof *given);
    if (!given) {
        cli_out_of_memory(cli);
        return false;
    }
    given[cli->given_count++] = (struct cli_given){option, value};
    cli->given = given;
    return true;
}

bool cli_options_parse(struct cli *cli, const struct cli_command *command, int argc, char **argv, int *next)
{
    struct getopt_tables tables;
    bool ok = make_tables(&tables, command ? command->options : NULL, !command);
    if (!ok)
        cli_out_of_memory(cli);
    /* getopt permutes what follows argv[0]: hand it the tail that begins one before the first to read. */
    int offset = *next - 1;
    char **tail = argv + offset;
    optind = 0;
    opterr = 0;
    while (ok) {
        int code = getopt_long(argc - offset, tail, tables.letters, tables.longs, NULL);
        if (code == -1)
            break;
        if (code == '?' || code == ':') {
            const char *word = tail[optind - 1];
            if (code == ':')
                cli_usage_error(cli, "option %s needs a value", word);
            else if (optopt && optopt < FIRST_INDEX && word[0] == '-' && word[1] == '-')
                cli_usage_error(cli, "option %s takes no value", word);
            else if (optopt && optopt < FIRST_INDEX)
                cli_usage_error(cli, "unknown option -%c", optopt);
            else if (optopt)
                cli_usage_error(cli, "option %s takes no value", word);
            else
                unknown_option(cli, &tables, word);
            ok = false;
            break;
        }
        const struct cli_option *option = find(&tables, code);
        ok = option && cli_option_given(cli, option, option->argument ? optarg : NULL);
    }
    *next = offset + optind;
    free_tables(&tables);
    return ok;
}

static bool is_named(const struct cli_option *option, const char *name)
{
    return option->name ? !strcmp(option->name, name) : (name[0] == option->letter && !name[1]);
}

const char *cli_next_value(const struct cli *cli, const char *name, size_t *at)
{
    while (*at < cli->given_count) {
        const struct cli_given *given = &cli->given[(*at)++];
        if (is_named(given->option, name))
            return given->value ? given->value : "";
    }
    return NULL;
}

const char *cli_value(const struct cli *cli, const char *name)
{
    const char *last = NULL, *value;
    for (size_t at = 0; (value = cli_next_value(cli, name, &at)) != NULL;)
        last = value;
    return last;
}

bool cli_flag(const struct cli *cli, const char *name)
{
    return cli_value(cli, name) != NULL;
}

bool cli_number(const struct cli *cli, const char *name, int64_t min, int64_t max, int64_t *value)
{
    const char *text = cli_value(cli, name);
    if (!text)
        return true;
    char *end;
    errno = 0;
    long long number = strtoll(text, &end, 10);
    if (errno || end == text || *end || number < min || number > max) {
        cli_usage_error(cli, "--%s %s: a whole number from %lld to %lld is needed", name, text,
                        (long long)min, (long long)max);
        return false;
    }
    *value = number;
    return true;
}

void cli_format_duration(int64_t ms, char out[32])
{
    static const struct {
        int64_t ms;
        const char *unit;
    } units[] = {{86400000, "d"}, {3600000, "h"}, {60000, "m"}, {1000, "s"}, {1, "ms"}};
    for (size_t i = 0; i < sizeof units / sizeof *units; i++)
        if (ms % units[i].ms == 0 && ms >= units[i].ms) {
            snprintf(out, 32, "%lld%s", (long long)(ms / units[i].ms), units[i].unit);
            return;
        }
    snprintf(out, 32, "-");
}

/* "10m, 2h, 1d": such of the usual ones as are allowed. */
static void duration_examples(int64_t min_ms, int64_t max_ms, char out[64])
{
    static const int64_t usual[] = {500, 30000, 600000, 7200000, 86400000};
    char one[32];
    *out = 0;
    for (size_t i = 0; i < sizeof usual / sizeof *usual; i++) {
        size_t size = strlen(out);
        if (usual[i] < min_ms || usual[i] > max_ms)
            continue;
        cli_format_duration(usual[i], one);
        snprintf(out + size, 64 - size, "%s%s", size ? ", " : "", one);
    }
}

bool cli_duration_ms(const struct cli *cli, const char *name, int64_t min_ms, int64_t max_ms,
                     int64_t *value_ms)
{
    static const struct {
        const char *name;
        double ms;
    } units[] = {{"", 1000},     {"ms", 1},      {"s", 1000},          {"m", 60000},
                 {"min", 60000}, {"h", 3600000}, {"d", 24 * 3600000.0}};
    const char *text = cli_value(cli, name);
    if (!text)
        return true;
    char *end;
    double number = strtod(text, &end);
    if (end != text && number >= 0) {
        end += strspn(end, " ");
        for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
            double ms = number * units[i].ms;
            if (!strcmp(end, units[i].name) && ms >= (double)min_ms && ms <= (double)max_ms) {
                *value_ms = (int64_t)ms;
                return true;
            }
        }
    }
    char least[32], most[32], examples[64];
    if (min_ms)
        cli_format_duration(min_ms, least);
    else
        snprintf(least, sizeof least, "0");
    cli_format_duration(max_ms, most);
    duration_examples(min_ms, max_ms, examples);
    cli_usage_error(cli, "--%s %s: a duration from %s to %s is needed, such as %s; a number alone is seconds",
                    name, text, least, most, examples);
    return false;
}
