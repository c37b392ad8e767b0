/* Tables, sizes and summaries. */
#include "base/error.h"
#include "base/text.h"
#include "cli.h"

#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct cli_table {
    size_t columns, count, capacity;
    char **cells;
    bool failed;
};

/* Columns as a terminal shows them: one a code point is right for the names that occur here. */
static size_t width(const char *text)
{
    size_t columns = 0;
    for (; *text; text++)
        columns += ((unsigned char)*text & 0xc0) != 0x80;
    return columns;
}

struct cli_table *cli_table_create(size_t columns, const char *const *titles)
{
    struct cli_table *table = calloc(1, sizeof *table);
    if (!table)
        return NULL;
    table->columns = columns;
    cli_table_row(table, titles);
    return table;
}

void cli_table_row(struct cli_table *table, const char *const *cells)
{
    if (!table || table->failed)
        return;
    if (table->count + table->columns > table->capacity) {
        size_t capacity = 2 * table->capacity + 8 * table->columns;
        char **grown = realloc(table->cells, capacity * sizeof *grown);
        if (!grown) {
            table->failed = true;
            return;
        }
        table->cells = grown;
        table->capacity = capacity;
    }
    for (size_t i = 0; i < table->columns; i++) {
        char *cell = strdup(cells[i] ? cells[i] : "");
        table->cells[table->count++] = cell;
        table->failed |= !cell;
        /* What came from elsewhere must not command the terminal. */
        for (char *c = cell; c && *c; c++)
            if ((unsigned char)*c < ' ' || *c == 0x7f)
                *c = '?';
    }
}

void cli_table_drop(struct cli_table **handle)
{
    struct cli_table *table = *handle;
    *handle = NULL;
    for (size_t i = 0; table && i < table->count; i++)
        free(table->cells[i]);
    if (table)
        free(table->cells);
    free(table);
}

bool cli_table_print(struct cli_table **handle)
{
    struct cli_table *table = *handle;
    *handle = NULL;
    if (!table)
        return false;
    bool ok = !table->failed;
    for (size_t i = 0; ok && i < table->count; i++) {
        size_t column = i % table->columns, widest = 0;
        for (size_t j = column; j < table->count; j += table->columns) {
            size_t own = width(table->cells[j]);
            widest = own > widest ? own : widest;
        }
        bool last = column + 1 == table->columns;
        printf("%s%*s%s", table->cells[i], last ? 0 : (int)(widest - width(table->cells[i]) + 2), "",
               last ? "\n" : "");
    }
    cli_table_drop(&table);
    return ok && !ferror(stdout);
}

int cli_table_finish(const struct cli *cli, struct cli_table **table)
{
    return cli_table_print(table) || ferror(stdout) ? CLI_OK : cli_out_of_memory(cli);
}

int cli_flush_output(const struct cli *cli)
{
    if (!fflush(stdout) && !ferror(stdout))
        return CLI_OK;
    return cli_output_failed(cli, errno);
}

int cli_output_failed(const struct cli *cli, int failure)
{
    /* Who reads has enough, as head has: no fault of anybody's. */
    if (failure == EPIPE)
        return CLI_READER_GONE;
    return cli_error_as(cli, SL_IO, "standard output: %s", sl_errno_text(failure));
}

void cli_format_bytes(double bytes, char out[32])
{
    static const char *const units[] = {"B", "kB", "MB", "GB", "TB"};
    size_t unit = 0;
    while (bytes >= 1000 && unit + 1 < sizeof units / sizeof *units) {
        bytes /= 1000;
        unit++;
    }
    snprintf(out, 32, unit ? "%.1f %s" : "%.0f %s", bytes, units[unit]);
}

static void print_json_summary(const struct cli_summary *summary)
{
    json_t *object = json_pack("{s:I, s:I, s:I, s:f}", "messages", (json_int_t)summary->messages, "bytes",
                               (json_int_t)summary->bytes, "failed", (json_int_t)summary->failed, "seconds",
                               (double)summary->elapsed_ms / 1000);
    if (object && summary->from)
        json_object_set_new(object, "from", json_string(summary->from));
    if (object && summary->to)
        json_object_set_new(object, "to", json_string(summary->to));
    if (object && !json_dumpf(object, stdout, JSON_REAL_PRECISION(6)))
        putchar('\n');
    json_decref(object);
}

void cli_print_summary(const struct cli *cli, const char *verb, const struct cli_summary *summary)
{
    if (cli->json) {
        print_json_summary(summary);
        return;
    }
    if ((!isatty(STDERR_FILENO) && !cli->verbose) || cli_flag(cli, "quiet"))
        return;
    double seconds = (double)(summary->elapsed_ms ? summary->elapsed_ms : 1) / 1000;
    char bytes[32], rate[32];
    cli_format_bytes((double)summary->bytes, bytes);
    cli_format_bytes((double)summary->bytes / seconds, rate);
    fprintf(stderr, "%s %llu %s, %s in %.1f s (%.0f msg/s, %s/s)", verb,
            (unsigned long long)summary->messages, sl_plural(summary->messages, "message", "messages"), bytes,
            seconds, (double)summary->messages / seconds, rate);
    if (summary->to)
        fprintf(stderr, ", %llu failed", (unsigned long long)summary->failed);
    if (summary->from && summary->to)
        fprintf(stderr, "; %s to %s", summary->from, summary->to);
    else if (summary->from || summary->to)
        fprintf(stderr, "; %s", summary->from ? summary->from : summary->to);
    fputc('\n', stderr);
}
