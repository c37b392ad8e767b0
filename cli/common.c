/* What every command needs: configuration, the client, messages to people, exit codes, signals, time. */
#include "base/error.h"
#include "base/text.h"
#include "cli.h"
#include "config/config.h"
#include "config/context.h"
#include "config/settings.h"
#include "context.h"
#include "help.h"
#include "platform.h"
#include "progress.h"

#include <errno.h>
#include <jansson.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define TEXT_SIZE        (2 * SL_ERROR_TEXT_SIZE + 200)
#define CREDENTIALS_FILE "here.platform.data-client.request-signer.credentials.file-path"

/* One line of standard error. With --json it is an object; status NULL: the line is no error. */
static void say(const struct cli *cli, const char *color, const char *kind, const sl_error *error,
                const char *status, char *text)
{
    cli_progress_clear(cli ? cli->progress : NULL);
    if (cli && cli->json) {
        json_t *object = json_pack("{s:{s:s}}", kind, "text", text);
        if (!object) { /* not UTF-8, as a cut character */
            sl_clean_line(text);
            object = json_pack("{s:{s:s}}", kind, "text", text);
        }
        json_t *inner = json_object_get(object, kind);
        if (status)
            json_object_update_new(inner, json_pack("{s:s, s:i, s:b}", "status", status, "httpStatus",
                                                    error ? error->http_status : 0, "retriable",
                                                    error ? (int)error->retriable : 0));
        char *line = object ? json_dumps(object, 0) : NULL;
        json_decref(object);
        if (line)
            fprintf(stderr, "%s\n", line);
        free(line);
        return;
    }
    const char *prefix = strcmp(kind, "warning") ? "" : "warning: ";
    if (cli && cli->color && color)
        fprintf(stderr, "\033[%smstreamlayer: %s\033[0m%s\n", color, prefix, text);
    else
        fprintf(stderr, "streamlayer: %s%s\n", prefix, text);
}

#define FORMAT(text)                                                                                         \
    do {                                                                                                     \
        va_list arguments;                                                                                   \
        va_start(arguments, format);                                                                         \
        vsnprintf((text), sizeof(text), format, arguments);                                                  \
        va_end(arguments);                                                                                   \
    } while (0)

void cli_error(const struct cli *cli, const char *format, ...)
{
    char text[TEXT_SIZE];
    FORMAT(text);
    say(cli, "31", "error", NULL, "failed", text);
}

int cli_error_as(const struct cli *cli, sl_status status, const char *format, ...)
{
    char text[TEXT_SIZE];
    FORMAT(text);
    say(cli, "31", "error", NULL, sl_status_text(status), text);
    return cli_exit_code(status);
}

int cli_error_interrupted(const struct cli *cli, const char *format, ...)
{
    char text[TEXT_SIZE];
    FORMAT(text);
    say(cli, "31", "error", NULL, "interrupted", text);
    return CLI_INTERRUPTED;
}

int cli_out_of_memory(const struct cli *cli)
{
    return cli_error_as(cli, SL_OUT_OF_MEMORY, "out of memory");
}

int cli_file_error(const struct cli *cli, const char *name, int failure)
{
    return cli_error_as(cli, failure == ENOENT ? SL_NOT_FOUND : SL_IO, "%s: %s", name,
                        sl_errno_text(failure));
}

void cli_warning(const struct cli *cli, const char *format, ...)
{
    char text[TEXT_SIZE];
    FORMAT(text);
    say(cli, "33", "warning", NULL, NULL, text);
}

void cli_hint(const struct cli *cli, const char *format, ...)
{
    char text[TEXT_SIZE];
    FORMAT(text);
    if (!cli->json)
        fprintf(stderr, "%s\n", text);
}

int cli_usage_error(const struct cli *cli, const char *format, ...)
{
    char text[TEXT_SIZE];
    FORMAT(text);
    say(cli, "31", "error", NULL, sl_status_text(SL_INVALID_ARGUMENT), text);
    if (cli->command)
        cli_hint(cli, "`streamlayer %s --help` shows how it is used.", cli->command->name);
    else
        cli_hint(cli, "`streamlayer --help` shows the commands.");
    return CLI_USAGE;
}

int cli_ask(const char *format, ...)
{
    char text[TEXT_SIZE], line[16] = "";
    FORMAT(text);
    fflush(stdout);
    fprintf(stderr, "%s [y/N] ", text);
    fflush(stderr);
    /* A signal that comes just before the reading would not end it. */
    struct pollfd input = {.fd = STDIN_FILENO, .events = POLLIN};
    while (!cli_interrupted() && poll(&input, 1, 100) <= 0)
        continue;
    if (!cli_interrupted() && fgets(line, sizeof line, stdin) &&
        (!strcmp(line, "y\n") || !strcmp(line, "Y\n") || !strcmp(line, "yes\n")))
        return CLI_OK;
    fputs("Nothing was changed.\n", stderr);
    return cli_interrupted() ? CLI_INTERRUPTED : CLI_FAILED;
}

int cli_ask_unless_sure(const struct cli *cli, const char *format, ...)
{
    char text[TEXT_SIZE];
    FORMAT(text);
    if (cli_flag(cli, "yes"))
        return CLI_OK;
    if (cli->json || !isatty(STDIN_FILENO) || !isatty(STDERR_FILENO))
        return cli_usage_error(cli, "--yes is needed where nobody can be asked: not on a terminal, and with "
                                    "--json");
    return cli_ask("%s", text);
}

int cli_exit_code(sl_status status)
{
    switch (status) {
    case SL_OK:
        return CLI_OK;
    case SL_INVALID_ARGUMENT:
    case SL_BAD_CONFIG:
        return CLI_USAGE;
    case SL_NOT_FOUND:
        return CLI_NOT_FOUND;
    case SL_UNAUTHENTICATED:
    case SL_FORBIDDEN:
        return CLI_NOT_ALLOWED;
    case SL_UNAVAILABLE:
    case SL_TIMED_OUT:
    case SL_THROTTLED:
        return CLI_UNAVAILABLE;
    case SL_CONNECTOR_MISSING:
        return CLI_NO_CONNECTOR;
    default:
        return CLI_FAILED;
    }
}

static bool find_file(void *opaque, const char *path, const char *value, const char *origin)
{
    bool *found = opaque;
    (void)path;
    (void)value;
    *found = strcmp(origin, "default") && *origin != '-' && strcmp(origin, "API") &&
             strncmp(origin, "environment ", 12);
    return !*found;
}

int cli_fail_as(const struct cli *cli, const sl_error *error, const char *format, ...)
{
    char text[TEXT_SIZE];
    FORMAT(text);
    say(cli, "31", "error", error, sl_status_text(error->status), text);
    cli_platform_hint(cli, error);
    /* No credentials at all: what is likely to be the cause. */
    if (error->status == SL_UNAUTHENTICATED && !error->http_status && cli->config) {
        bool file_read = false;
        (void)sl_config_each(cli->config, NULL, find_file, &file_read);
        if (!file_read)
            cli_hint(
                cli,
                "No configuration file was read, and no context is in force: `streamlayer up` makes both; "
                "or pass --config FILE.");
    }
    return cli_exit_code(error->status);
}

int cli_fail(const struct cli *cli, const sl_error *error)
{
    return cli_fail_as(cli, error, "%s", error->text[0] ? error->text : sl_status_text(error->status));
}

const char *cli_home_path(const char *path, char place[PATH_MAX])
{
    const char *home = getenv("HOME");
    if (!home || strncmp(path, "~/", 2) != 0)
        return path;
    snprintf(place, PATH_MAX, "%s/%s", home, path + 2);
    return place;
}

bool cli_file_is_missing(const char *path)
{
    char place[PATH_MAX];
    if (path)
        path = cli_home_path(path, place);
    return path && *path && access(path, F_OK) && (errno == ENOENT || errno == ENOTDIR);
}

static void log_line(void *opaque, sl_log_level level, const char *told)
{
    const struct cli *cli = opaque;
    char text[TEXT_SIZE];
    snprintf(text, sizeof text, "%s", told);
    if (level == SL_LOG_ERROR)
        cli_error(cli, "%s", text);
    else if (level == SL_LOG_WARNING)
        cli_warning(cli, "%s", text);
    else
        say(cli, NULL, "info", NULL, NULL, text);
}

static sl_status load(const struct cli *cli, bool is_client, sl_error *error)
{
    const char *file = cli_value(cli, "config"), *context = cli_value(cli, "context");
    if (!is_client)
        return sl_config_load_no_context(cli->config, file, error);
    return context ? sl_config_load_context(cli->config, context, error)
                   : sl_config_load(cli->config, file, error);
}

static bool is_set(const char *text)
{
    return text && *text;
}

/* Whether what could not be read is a file that was named and is not there. */
static bool named_file_is_missing(const struct cli *cli, bool is_client)
{
    const char *named = cli_value(cli, "config"), *file = getenv("STREAMLAYER_CONFIG");
    const char *context = cli_value(cli, "context");
    if (named)
        return cli_file_is_missing(named);
    if (!is_client)
        return cli_file_is_missing(file);
    if (!context)
        context = getenv("STREAMLAYER_CONTEXT");
    if (!is_set(context) && is_set(file))
        return cli_file_is_missing(file);
    if (!is_set(context) && !access("application.conf", F_OK))
        return false;
    return cli_context_file_is_missing(is_set(context) ? context : NULL);
}

const char *cli_credentials_file(const struct cli *cli)
{
    const char *named = sl_config_get(cli->config, CREDENTIALS_FILE);
    if (!is_set(named))
        named = getenv("HERE_CREDENTIALS_FILE");
    return is_set(named) ? named : NULL;
}

bool cli_credentials_file_is_missing(const struct cli *cli)
{
    return cli_file_is_missing(cli_credentials_file(cli));
}

static int load_config(struct cli *cli, bool is_client)
{
    if (is_client && cli_value(cli, "config") && cli_value(cli, "context"))
        return cli_usage_error(cli, "--config and --context: only one can say where the platform is");
    sl_error error = {0};
    sl_status status = sl_config_create(&cli->config, &error);
    if (!status)
        status = load(cli, is_client, &error);
    if (status) {
        if (status == SL_IO && named_file_is_missing(cli, is_client))
            error.status = SL_NOT_FOUND;
        return cli_fail(cli, &error);
    }
    /* -v sets the library's own setting, which -D may still override. */
    static const char *const levels[] = {"warning", "info", "debug"};
    if (cli->verbose)
        (void)sl_config_set_from(cli->config, SL_ROOT "log.level",
                                 levels[cli->verbose > 2 ? 2 : cli->verbose], "-v", NULL);
    const char *setting;
    for (size_t at = 0; (setting = cli_next_value(cli, "D", &at)) != NULL;) {
        const char *equals = strchr(setting, '=');
        char *path = equals && equals > setting ? strndup(setting, (size_t)(equals - setting)) : NULL;
        if (!path)
            return cli_usage_error(cli, "-D %s: PATH=VALUE is needed", setting);
        status = sl_config_set_from(cli->config, path, equals + 1, "-D", &error);
        free(path);
        if (status)
            return cli_fail(cli, &error);
    }
    return CLI_OK;
}

int cli_load_config(struct cli *cli)
{
    return load_config(cli, true);
}

int cli_load_platform_config(struct cli *cli)
{
    return load_config(cli, false);
}

/* A gateway's configuration says nothing of how to reach it: what was meant for it would go to HERE's
 * platform, which is the default. */
static int refuse_gateway_config(const struct cli *cli)
{
    static const char directory[] = SL_GATEWAY_ROOT "data-directory";
    const char *origin = sl_config_origin(cli->config, directory),
               *env = sl_config_origin(cli->config, SL_LOOKUP_ENV_PATH),
               *url = sl_config_get(cli->config, SL_LOOKUP_URL_PATH);
    bool takes_directory = false;
    if (!origin || !strcmp(origin, "default") || (url && *url) || (env && strcmp(env, "default") != 0))
        return CLI_OK;
    for (const struct cli_option *each = cli->command ? cli->command->options : NULL;
         each && !cli_option_is_end(each); each++)
        takes_directory = takes_directory || (each->name && !strcmp(each->name, "data-dir"));
    (void)cli_error_as(cli, SL_BAD_CONFIG,
                       "%s: " SL_GATEWAY_ROOT "data-directory is set: this is a gateway's configuration, and "
                       "says nothing of the platform to ask: set " SL_LOOKUP_URL_PATH
                       " to the gateway's URL, or give a client's configuration",
                       origin);
    if (takes_directory)
        cli_hint(cli, "Or work on the gateway's own data, without asking it: --data-dir %s",
                 sl_config_get(cli->config, directory));
    return CLI_USAGE;
}

int cli_connect(struct cli *cli)
{
    int code = cli->config ? CLI_OK : cli_load_config(cli);
    if (!code)
        code = refuse_gateway_config(cli);
    if (code)
        return code;
    sl_error error = {0};
    if (sl_config_check(cli->config, &error))
        return cli_fail(cli, &error);
    sl_status status = sl_client_create(cli->config, log_line, cli, &cli->client, &error);
    if (!status) {
        cli_platform_announce(cli);
        return CLI_OK;
    }
    bool missing = status == SL_IO && cli_credentials_file_is_missing(cli);
    if (missing)
        error.status = SL_NOT_FOUND;
    code = cli_fail(cli, &error);
    if (missing)
        cli_hint(cli,
                 "Correct its name, or have an administrator make such a file: streamlayer app create NAME "
                 "--credentials FILE; for a key that was lost, app rotate.");
    return code;
}

void cli_release(struct cli *cli)
{
    sl_client_destroy(&cli->client);
    sl_config_destroy(&cli->config);
    free(cli->given);
    cli->given = NULL;
    cli->given_count = 0;
}

/* Signals have no other way to reach a program than what is static. */
static volatile sig_atomic_t interrupted;

static void on_signal(int number)
{
    if (interrupted && number == SIGINT) {
        signal(number, SIG_DFL);
        raise(number);
    }
    interrupted = 1;
}

void cli_catch_signals(void)
{
    struct sigaction action =
                         {
                             .sa_handler = on_signal,
                         },
                     before;
    sigemptyset(&action.sa_mask);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    /* nohup has it ignored: leave it so. */
    if (!sigaction(SIGHUP, NULL, &before) && before.sa_handler != SIG_IGN)
        sigaction(SIGHUP, &action, NULL);
    /* A reader that goes away is an error of writing, not the end of the process. */
    signal(SIGPIPE, SIG_IGN);
}

bool cli_interrupted(void)
{
    return interrupted != 0;
}

int64_t cli_mono_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

void cli_format_time(int64_t ms, const char *otherwise, char out[32])
{
    struct tm parts;
    time_t seconds = (time_t)(ms / 1000);
    if (ms < 0 || !gmtime_r(&seconds, &parts) || !strftime(out, 32, "%Y-%m-%dT%H:%M:%SZ", &parts))
        snprintf(out, 32, "%s", otherwise);
}

void cli_sleep_ms(int milliseconds)
{
    (void)poll(NULL, 0, milliseconds);
}
