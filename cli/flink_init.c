/* streamlayer flink init: a Maven project that reads one layer and writes another. */
#include "base/text.h"
#include "flink.h"
#include "flink_files.h"
#include "process.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define FILE_MAX (8u << 20)

/* What the project is made of: two tables, and where it lies. */
struct project {
    struct cli *cli;
    const char *directory;
    char place[PATH_MAX]; /* the same, absolute */
    struct cli_flink_wish wish;
    struct cli_flink_layer layers[2];
    struct cli_flink_table source, sink;
    char *sink_name; /* NULL: the layer's id */
};

static int write_file(const struct project *project, const char *name, const struct sl_buffer *text)
{
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/%s", project->directory, name);
    char *slash = strrchr(path, '/');
    *slash = 0;
    if (!cli_make_directories(path, 0777))
        return cli_file_error(project->cli, path, errno);
    *slash = '/';
    FILE *file = fopen(path, "wx");
    if (!file)
        return cli_file_error(project->cli, path, errno);
    bool good = fwrite(text->data, 1, text->size, file) == text->size;
    int failure = errno;
    if (fclose(file) && good) {
        good = false;
        failure = errno;
    }
    return good ? CLI_OK : cli_file_error(project->cli, path, failure);
}

/* A format that is in no Flink distribution comes with the job. */
static void append_dependency(struct sl_buffer *text, const struct project *project, const char *format,
                              const char *artifact)
{
    if (strcmp(project->source.format, format) != 0 && strcmp(project->sink.format, format) != 0)
        return;
    sl_buffer_printf(
        text,
        "    <dependency>\n      <groupId>org.apache.flink</groupId>\n      <artifactId>%s</artifactId>\n"
        "      <version>${flink.version}</version>\n    </dependency>\n",
        artifact);
}

/* A template, with what stands between @ filled in. */
static void append_template(struct sl_buffer *text, const struct project *project, const char *template,
                            size_t size)
{
    static const char job[] = "@JOB@", dependencies[] = "@DEPENDENCIES@";
    for (size_t at = 0; at < size;) {
        if (size - at >= sizeof job - 1 && !memcmp(template + at, job, sizeof job - 1)) {
            sl_buffer_append_text(text, project->wish.job);
            at += sizeof job - 1;
        } else if (size - at >= sizeof dependencies - 1 &&
                   !memcmp(template + at, dependencies, sizeof dependencies - 1)) {
            append_dependency(text, project, "avro", "flink-avro");
            append_dependency(text, project, "protobuf", "flink-protobuf");
            at += sizeof dependencies - 1;
        } else {
            sl_buffer_append(text, template + at++, 1);
        }
    }
}

static void append_setting(struct sl_buffer *sql, const char *name, const char *value)
{
    sl_buffer_printf(sql, "SET '%s' = ", name);
    cli_flink_append_text(sql, value);
    sl_buffer_append_text(sql, ";\n");
}

static void append_checkpoints(struct sl_buffer *sql, const struct project *project)
{
    struct sl_buffer place;
    sl_buffer_init(&place, FILE_MAX);
    cli_flink_append_file_url(&place, project->place);
    sl_buffer_append_text(&place, "/checkpoints");
    append_setting(sql, "execution.checkpointing.interval", "10s");
    append_setting(sql, "execution.checkpointing.dir", place.data ? place.data : "");
    append_setting(sql, "execution.checkpointing.externalized-checkpoint-retention",
                   "RETAIN_ON_CANCELLATION");
    sql->failed |= place.failed;
    sl_buffer_free(&place);
}

static void append_payload(struct sl_buffer *sql, const struct project *project, bool reading)
{
    const struct cli_flink_wish *wish = &project->wish;
    for (size_t i = 0; i < wish->column_count; i++) {
        cli_flink_append_name(sql, wish->columns[i].name, wish->columns[i].name_size);
        sl_buffer_append_text(sql, ", ");
    }
    bool inflated = reading && project->layers[0].gzip && !project->layers[1].gzip;
    if (!wish->column_count)
        sl_buffer_append_text(sql, inflated ? "GUNZIP(`payload`), " : "`payload`, ");
}

/* What is written anew has another checksum: of the headers only the trace id goes on then. */
static void append_insert(struct sl_buffer *sql, const struct project *project)
{
    bool same_bytes = !project->wish.column_count && project->layers[0].gzip == project->layers[1].gzip;
    sl_buffer_append_text(sql, "\n-- What the job does.\nINSERT INTO ");
    cli_flink_append_name(sql, project->sink.name, strlen(project->sink.name));
    sl_buffer_append_text(sql, " (");
    append_payload(sql, project, false);
    sl_buffer_append_text(sql, "`sl_partition_id`, `sl_timestamp`, `sl_headers`)\nSELECT ");
    append_payload(sql, project, true);
    sl_buffer_append_text(sql, "`sl_partition_id`, `sl_timestamp`,\n  ");
    sl_buffer_append_text(
        sql, same_bytes ? "`sl_headers`"
                        : "CASE WHEN `sl_trace_id` IS NOT NULL\n"
                          "    THEN MAP['sl-trace-id', `sl_headers`['sl-trace-id']] END AS `sl_headers`");
    sl_buffer_append_text(sql, "\nFROM ");
    cli_flink_append_name(sql, project->source.name, strlen(project->source.name));
    sl_buffer_append_text(sql,
                          "\n-- Without messages over 1 MiB: their payloads are blobs, which belong to the "
                          "layer that they were stored in.\nWHERE `sl_data_handle` IS NULL;\n");
}

static int write_sql(const struct project *project)
{
    struct sl_buffer sql;
    sl_buffer_init(&sql, FILE_MAX);
    append_setting(&sql, "pipeline.name", project->wish.job);
    append_checkpoints(&sql, project);
    sl_buffer_append_text(
        &sql,
        "-- Windows wait for the slowest reader. Where a Kafka partition may be silent, or the job has more "
        "readers than the layer\n-- has partitions, this has them go on without it:\n"
        "-- SET 'table.exec.source.idle-timeout' = '30s';\n\n");
    cli_flink_append_table(&sql, &project->source);
    sl_buffer_append_text(&sql, "\n");
    cli_flink_append_table(&sql, &project->sink);
    append_insert(&sql, project);
    int code = sql.failed ? cli_out_of_memory(project->cli)
                          : write_file(project, "src/main/resources/pipeline.sql", &sql);
    sl_buffer_free(&sql);
    return code;
}

static int write_project(const struct project *project)
{
    int code = CLI_OK;
    for (size_t i = 0; i < sizeof flink_files / sizeof *flink_files && !code; i++) {
        struct sl_buffer text;
        sl_buffer_init(&text, FILE_MAX);
        append_template(&text, project, (const char *)flink_files[i].data, flink_files[i].size);
        code =
            text.failed ? cli_out_of_memory(project->cli) : write_file(project, flink_files[i].name, &text);
        sl_buffer_free(&text);
    }
    return code ? code : write_sql(project);
}

/* A word of the shell's: as it is where nothing in it means anything to the shell. */
static void append_word(struct sl_buffer *text, const char *word)
{
    static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789%+,-./:=@_";
    if (*word && *word != '-' && word[strspn(word, plain)] == 0) {
        sl_buffer_append_text(text, word);
        return;
    }
    sl_buffer_append_text(text, *word == '-' ? "-- '" : "'");
    for (; *word; word++)
        if (*word == '\'')
            sl_buffer_append_text(text, "'\\''");
        else
            sl_buffer_append(text, word, 1);
    sl_buffer_append_text(text, "'");
}

/* What there is to do next, and what the job leaves out. */
static int tell(const struct project *project)
{
    struct sl_buffer text;
    sl_buffer_init(&text, FILE_MAX);
    append_word(&text, project->directory);
    int code = text.failed ? cli_out_of_memory(project->cli) : CLI_OK;
    if (!code)
        printf("Made the job %s in %s. To run it here:\n  cd %s && mvn compile exec:exec\n"
               "It passes over messages over 1 MiB, whose payloads lie in blobs, which Flink does not fetch; "
               "streamlayer pipe copies them, too.\n",
               project->wish.job, project->directory, text.data);
    sl_buffer_free(&text);
    return code;
}

/* It must not be there, or be empty. */
static int make_directory(struct project *project)
{
    const char *path = project->directory;
    if (!cli_make_directories(path, 0777))
        return cli_file_error(project->cli, path, errno);
    DIR *directory = opendir(path);
    if (!directory)
        return cli_file_error(project->cli, path, errno);
    size_t entries = 0;
    for (const struct dirent *entry; (entry = readdir(directory)) != NULL;)
        entries += strcmp(entry->d_name, ".") && strcmp(entry->d_name, "..");
    closedir(directory);
    if (entries)
        return cli_error_as(project->cli, SL_CONFLICT,
                            "%s: the directory is not empty; name another one, or empty it first", path);
    if (!realpath(path, project->place))
        return cli_file_error(project->cli, path, errno);
    return CLI_OK;
}

static int settle_tables(struct project *project)
{
    struct cli *cli = project->cli;
    int code =
        cli_flink_table_prepare(&project->source, cli, &project->layers[0], &project->wish, CLI_FLINK_SOURCE);
    if (!code)
        code =
            cli_flink_table_prepare(&project->sink, cli, &project->layers[1], &project->wish, CLI_FLINK_SINK);
    if (code)
        return code;
    /* A payload is handed on as it is. */
    project->source.text = project->sink.text = project->source.text && project->sink.text;
    if (strcmp(project->source.name, project->sink.name) != 0)
        return CLI_OK;
    project->sink_name = sl_printf("%s_sink", project->sink.name);
    project->sink.name = project->sink_name;
    return project->sink_name ? CLI_OK : cli_out_of_memory(cli);
}

/* After --job, or the directory, whose name stays in base. */
static int name_job(struct project *project, char base[PATH_MAX])
{
    const char *job = cli_value(project->cli, "job");
    if (!realpath(project->directory, base)) /* it is still to be made */
        snprintf(base, PATH_MAX, "%s", project->directory);
    for (size_t end = strlen(base); end > 1 && base[end - 1] == '/';)
        base[--end] = 0;
    const char *slash = strrchr(base, '/');
    project->wish.job = job ? job : slash ? slash + 1 : base;
    if (!job && !cli_flink_is_job(project->wish.job))
        return cli_usage_error(
            project->cli,
            "DIR: the job would be called \"%s\", after its directory; --job NAME gives it another "
            "name, of 1 to %d characters of A-Z a-z 0-9 . _ -",
            project->wish.job, CLI_FLINK_JOB_MAX);
    return job ? cli_flink_check_job(project->cli, job) : CLI_OK;
}

static int run(struct project *project)
{
    struct cli *cli = project->cli;
    const char *const *operands = cli->operands;
    project->directory = operands[0];
    char base[PATH_MAX];
    if (strlen(project->directory) > PATH_MAX - 100)
        return cli_file_error(cli, project->directory, ENAMETOOLONG);
    int code = cli_flink_wish_read(&project->wish, cli);
    if (!code)
        code = name_job(project, base);
    if (code)
        return code;
    project->wish.exactly_once = !cli_flag(cli, "at-least-once");
    if (!strcmp(operands[1], operands[3]) && !strcmp(operands[2], operands[4]))
        return cli_usage_error(cli, "a job that writes what it reads would never end");
    code = cli_flink_connect(&project->wish, cli);
    if (!code)
        code = cli_flink_layer_get(&project->layers[0], cli, operands[1], operands[2], CLI_FLINK_SOURCE);
    if (!code)
        code = cli_flink_layer_get(&project->layers[1], cli, operands[3], operands[4], CLI_FLINK_SINK);
    if (!code)
        code = settle_tables(project);
    if (!code)
        code = make_directory(project);
    if (!code)
        code = write_project(project);
    if (code)
        return code;
    code = cli->json ? CLI_OK : tell(project);
    return code ? code : cli_flush_output(cli);
}

static int init(struct cli *cli)
{
    struct project *project = calloc(1, sizeof *project);
    if (!project)
        return cli_out_of_memory(cli);
    project->cli = cli;
    int code = run(project);
    cli_flink_layer_free(&project->layers[0]);
    cli_flink_layer_free(&project->layers[1]);
    cli_flink_wish_free(&project->wish);
    free(project->sink_name);
    free(project);
    return code;
}

static const struct cli_option init_options[] = {
    CLI_FLINK_OPTIONS,
    {'J', "job", "NAME",
     "the job's name, which no other job of the application has (default: the directory's)"},
    {0, "at-least-once", NULL, "write without Kafka transactions (default: exactly once)"},
    {0, NULL, NULL, NULL},
};

const struct cli_command cli_flink_init_command = {
    .name = "flink init",
    .operands = "DIR HRN LAYER HRN LAYER",
    .min_operands = 5,
    .max_operands = 5,
    .summary = "make a Flink job that reads one layer and writes another",
    .details =
        "DIR becomes a Maven project with pinned versions: pipeline.sql with the two tables of flink ddl and "
        "an INSERT to be changed, and what runs it. `mvn compile exec:exec` runs it on this machine, `mvn "
        "package` makes a jar for a cluster's `flink run`; its README tells the rest.\n\n"
        "Without --column the payload is handed on as it is. Messages over 1 MiB, whose payloads lie in "
        "blobs, are passed over: Flink does not fetch blobs, pipe does.",
    .examples = "  streamlayer flink init means HRN cars HRN means -C id:STRING -C speed:DOUBLE\n"
                "  cd means && mvn compile exec:exec\n",
    .options = init_options,
    .related = "flink ddl,pipe",
    .run = init,
};
