/* streamlayerd: the gateway as a service. */
#include "base/error.h"
#include "base/text.h"
#include "config/context.h"
#include "config/settings.h"
#include "gateway/gateway.h"
#include "gateway/notify.h"
#include "gateway/privileges.h"

#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <streamlayer/version.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#define USER SL_GATEWAY_ROOT "user"

static const char usage[] =
    "streamlayerd: the gateway that serves stream layers over HTTP, in front of Kafka\n"
    "\n"
    "  streamlayerd [--config FILE] [-D PATH=VALUE]... [--user NAME]\n"
    "  streamlayerd --check-config [--config FILE] [-D PATH=VALUE]... [--user NAME]\n"
    "\n"
    "  --config FILE   settings in HOCON; without it the usual places are read\n"
    "                  (docs/configuration.md)\n"
    "  -D PATH=VALUE   one setting, which wins over files\n"
    "  --user NAME     started as root, become this user once the port is bound and the\n"
    "                  certificate's key is read (streamlayer.gateway.user)\n"
    "  --check-config  say all that is wrong with the settings, and with the files, addresses and Kafka\n"
    "                  properties that they name, each with FILE:LINE, and end: 0 a gateway can start\n"
    "                  with them, 1 it cannot; nothing listens, is connected to or is made\n"
    "  --help          this text\n"
    "  --version       the version\n"
    "\n"
    "It runs until SIGTERM or SIGINT, answers what is in flight, and ends with 0. On SIGHUP it reads\n"
    "its configuration and certificates again, and applies them while it serves: all that a reload\n"
    "can change (docs/configuration.md), or nothing when something is wrong. It logs to standard\n"
    "error. Exit codes: 1 it could not start or serve, 2 it was called wrongly.\n"
    "\n"
    "Examples:\n"
    "  streamlayerd --config /etc/streamlayer/gateway.conf\n"
    "  streamlayerd -D streamlayer.gateway.kafka.brokers=localhost:9092 \\\n"
    "               -D streamlayer.gateway.data-directory=/var/lib/streamlayer \\\n"
    "               -D streamlayer.gateway.listen.port=8080\n"
    "  kill -TERM PID                          # a clean end\n"
    "  streamlayerd --check-config --config /etc/streamlayer/gateway.conf && kill -HUP PID\n"
    "  curl http://127.0.0.1:8080/ready        # whether Kafka answers\n";

static void log_line(void *opaque, sl_log_level level, const char *text)
{
    static const char *const names[] = {"", "ERROR", "WARNING", "INFO", "DEBUG"};
    struct timespec now;
    struct tm parts;
    char stamp[32];
    (void)opaque;
    clock_gettime(CLOCK_REALTIME, &now);
    gmtime_r(&now.tv_sec, &parts);
    strftime(stamp, sizeof stamp, "%Y-%m-%dT%H:%M:%S", &parts);
    fprintf(stderr, "%s.%03ldZ %s %s\n", stamp, now.tv_nsec / 1000000, names[level], text);
}

static int fail(const sl_error *error)
{
    fprintf(stderr, "streamlayerd: %s\n", error->text);
    return error->status == SL_INVALID_ARGUMENT ? 2 : 1;
}

/* -D path=value */
static sl_status set(sl_config *config, const char *setting, sl_error *error)
{
    const char *equals = strchr(setting, '=');
    if (!equals || equals == setting)
        return sl_error_set(error, SL_INVALID_ARGUMENT, "-D %s: write it as PATH=VALUE", setting);
    char *path = strndup(setting, (size_t)(equals - setting));
    sl_status status = path ? sl_config_set_from(config, path, equals + 1, "-D", error) : sl_error_oom(error);
    free(path);
    return status;
}

static sl_log_level level_of(const char *name)
{
    static const char *const names[] = {"", "error", "warning", "info", "debug"};
    for (sl_log_level level = SL_LOG_ERROR; level <= SL_LOG_DEBUG; level++)
        if (!strcmp(names[level], name))
            return level;
    return SL_LOG_INFO;
}

/* Every connection needs a descriptor. */
static void raise_descriptors(void)
{
    struct rlimit limit;
    if (!getrlimit(RLIMIT_NOFILE, &limit) && limit.rlim_cur < limit.rlim_max) {
        limit.rlim_cur = limit.rlim_max;
        setrlimit(RLIMIT_NOFILE, &limit);
    }
}

/* How it was called. */
struct call {
    const char *file, *user;
    bool check;
    char *settings[256];
    int count;
};

static sl_status load_once(const struct call *call, sl_config **config, sl_error *error)
{
    sl_status status = sl_config_create(config, error);
    if (!status)
        status = sl_config_load_no_context(*config, call->file, error);
    for (int i = 0; i < call->count && !status; i++)
        status = set(*config, call->settings[i], error);
    if (call->user && !status)
        status = sl_config_set_from(*config, USER, call->user, "--user", error);
    return status;
}

/* From the places of the user that the gateway becomes, as later when it is told to load them again. What is
 * wrong with the values is not asked yet. */
static sl_status load_unchecked(const struct call *call, sl_config **config, sl_error *error)
{
    bool moved = false;
    sl_error later; /* a user who cannot be is told of when it is to be become */
    sl_status status = load_once(call, config, error);
    if (!status && sl_config_get(*config, USER))
        (void)gw_user_move_home(*config, &moved, &later);
    if (status || !moved)
        return status;
    sl_config *first = *config;
    *config = NULL;
    status = load_once(call, config, error);
    const char *before = sl_config_get(first, USER), *after = status ? NULL : sl_config_get(*config, USER);
    if (!status && (!after || strcmp(before, after) != 0))
        status =
            sl_error_set(error, SL_BAD_CONFIG,
                         "%s: " USER " = %s: that user's gateway does not read it there: set it in the file "
                         "that --config names, or with --user",
                         sl_config_origin(first, USER), before);
    sl_config_destroy(&first);
    return status;
}

static sl_status load(const struct call *call, sl_config **config, sl_error *error)
{
    sl_status status = load_unchecked(call, config, error);
    return status ? status : sl_config_check(*config, error);
}

static void print_finding(void *opaque, bool is_fault, const char *text)
{
    (void)opaque;
    fprintf(stderr, "%s%s\n", is_fault ? "" : "note: ", text);
}

static int check(const struct call *call)
{
    sl_config *config = NULL;
    sl_error error = {0};
    bool right = false;
    sl_status status = load_unchecked(call, &config, &error);
    if (!status)
        right = gw_check(config, print_finding, NULL);
    else if (status == SL_BAD_CONFIG)
        print_finding(NULL, true, error.text);
    sl_config_destroy(&config);
    if (status && status != SL_BAD_CONFIG)
        return fail(&error);
    if (!right)
        return 1;
    puts("the configuration is right");
    return fflush(stdout) ? 1 : 0;
}

/* What is this file's own of the configuration. */
struct own {
    atomic_int level; /* the log's */
    int64_t grace_ms;
};

static sl_status read_own(const sl_config *config, sl_log_level *level, int64_t *grace_ms, sl_error *error)
{
    const char *word;
    sl_status status = sl_config_choice(config, SL_GATEWAY_ROOT "log.level", &word, error);
    if (!status)
        status = sl_config_duration_ms(config, SL_GATEWAY_ROOT "shutdown-grace", grace_ms, error);
    if (!status)
        *level = level_of(word);
    return status;
}

static void reload(const struct call *call, struct gateway *gateway, struct own *own,
                   const struct sl_log *log)
{
    sl_config *config = NULL;
    sl_error error = {0};
    sl_log_level level;
    int64_t grace_ms;
    SL_INFO(log, "SIGHUP: reading the configuration again");
    gw_notify_reloading();
    if (gw_reopen_access_log(gateway, &error))
        SL_ERROR(log, "SIGHUP: %s; lines go to the old file", error.text);
    sl_status status = load(call, &config, &error);
    if (!status)
        status = read_own(config, &level, &grace_ms, &error);
    if (!status)
        status = gw_reload(gateway, config, &error);
    if (status) {
        SL_ERROR(log, "SIGHUP: nothing was changed: %s", error.text);
    } else {
        SL_INFO(log, "SIGHUP: reloaded");
        own->level = (int)level;
        own->grace_ms = grace_ms;
    }
    gw_notify(status ? "READY=1\nSTATUS=The last reload failed, and changed nothing: see the log"
                     : "READY=1\nSTATUS=");
    sl_config_destroy(&config);
}

static sl_status serve(const struct call *call, const sl_config *config, sl_error *error)
{
    static struct own own; /* the log's level outlives every thread */
    struct gateway *gateway;
    sigset_t wanted;
    int received = 0;
    sl_log_level level;
    sl_status status = read_own(config, &level, &own.grace_ms, error);
    if (status)
        return status;
    own.level = (int)level;
    sigemptyset(&wanted);
    sigaddset(&wanted, SIGTERM);
    sigaddset(&wanted, SIGINT);
    sigaddset(&wanted, SIGHUP);
    pthread_sigmask(SIG_BLOCK, &wanted, NULL); /* before any thread is: all inherit it */
    signal(SIGPIPE, SIG_IGN);
    raise_descriptors();
    const struct sl_log log = {.callback = log_line, .level = SL_LOG_INFO, .changing = &own.level};
    status = gw_start_confined(config, &log, &gateway, error);
    if (status)
        return status;
    gw_notify("READY=1");
    for (;;) {
        if (sigwait(&wanted, &received))
            continue;
        if (received != SIGHUP)
            break;
        reload(call, gateway, &own, &log);
    }
    SL_INFO(&log, "%s: stopping", received == SIGTERM ? "SIGTERM" : "SIGINT");
    gw_notify("STOPPING=1");
    /* A second signal ends it at once. */
    signal(SIGTERM, SIG_DFL);
    signal(SIGINT, SIG_DFL);
    sigdelset(&wanted, SIGHUP); /* a reload comes too late */
    pthread_sigmask(SIG_UNBLOCK, &wanted, NULL);
    gw_stop(&gateway, (int)own.grace_ms);
    return SL_OK;
}

int main(int argc, char **argv)
{
    static const struct option options[] = {{"config", required_argument, NULL, 'c'},
                                            {"user", required_argument, NULL, 'u'},
                                            {"check-config", no_argument, NULL, 'C'},
                                            {"help", no_argument, NULL, 'h'},
                                            {"version", no_argument, NULL, 'v'},
                                            {"routes", no_argument, NULL, 'r'}, /* for tests */
                                            {NULL, 0, NULL, 0}};
    static struct call call;
    int option;
    gw_confine();
    /* NOLINTNEXTLINE(concurrency-mt-unsafe): there are no threads yet */
    while ((option = getopt_long(argc, argv, "D:c:h", options, NULL)) != -1) {
        switch (option) {
        case 'c':
            call.file = optarg;
            break;
        case 'D':
            if (call.count == sizeof call.settings / sizeof *call.settings) {
                fprintf(stderr, "streamlayerd: more than %d settings by -D: put them into a file\n",
                        call.count);
                return 2;
            }
            call.settings[call.count++] = optarg;
            break;
        case 'u':
            call.user = optarg;
            break;
        case 'C':
            call.check = true;
            break;
        case 'h':
            fputs(usage, stdout);
            return 0;
        case 'r':
            return gw_routes_print(stdout) ? 0 : 1;
        case 'v':
            printf("streamlayerd %s\n", SL_VERSION);
            return 0;
        default:
            fputs("streamlayerd: see streamlayerd --help\n", stderr);
            return 2;
        }
    }
    if (optind < argc) {
        fprintf(stderr, "streamlayerd: \"%s\" is not expected: see streamlayerd --help\n", argv[optind]);
        return 2;
    }
    if (call.check)
        return check(&call);
    sl_config *config = NULL;
    sl_error error = {0};
    sl_status status = load(&call, &config, &error);
    if (!status)
        status = serve(&call, config, &error);
    sl_config_destroy(&config);
    return status ? fail(&error) : 0;
}
