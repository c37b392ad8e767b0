/* streamlayer up */
#include "base/buffer.h"
#include "base/error.h"
#include "base/server.h"
#include "cli.h"
#include "config/context.h"
#include "context.h"
#include "gateway/gateway.h"
#include "kafka.h"
#include "kafka_secure.h"
#include "process.h"

#include <errno.h>
#include <fcntl.h>
#include <jansson.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <time.h>
#include <unistd.h>

/* A path in the data directory. */
#define FILE_MAX (PATH_MAX + 32)

#define WATCH_MS        250
#define READY_POLL_MS   100
#define READY_LIMIT_MS  60000
#define REMOTE_LIMIT_MS 15000
#define STOP_GRACE_MS   10000
#define GATEWAY         "streamlayer.gateway."

static const struct cli_option up_options[] = {
    {'d', "data-dir", "DIR",
     "where everything is kept (default $XDG_DATA_HOME/streamlayer or ~/.local/share/streamlayer)"},
    {'p', "port", "N", "the gateway's port on 127.0.0.1 (default 8080; 0: any free one)"},
    {'k', "kafka", "local|BROKERS",
     "local: an Apache Kafka of its own (default), or BROKERS, a running cluster: host:port, separated by "
     "commas"},
    {0, "secure", NULL,
     "the Kafka of its own takes TLS and the gateway's tokens only, and applications reach what they were "
     "granted"},
    {0, "no-context", NULL, "do not register the platform as a context"},
    {0, NULL, NULL, NULL},
};

struct platform {
    struct cli *cli;
    char directory[PATH_MAX];
    int lock;
    FILE *log;
    bool local, secure;
    struct cli_kafka kafka;
    struct cli_kafka_tokens tokens; /* kafka's, where it is secure */
    char jwks_url[80], jwks_ca[PATH_MAX];
    struct gateway *gateway;
    char brokers[64];
    char url[64];
    bool current;      /* other commands find it without being told where */
    atomic_bool ready; /* read by the gateway's threads */
};

static int fail_errno(const struct platform *platform, const char *path)
{
    return cli_error_as(platform->cli, SL_IO, "%s: %s", path, sl_errno_text(errno));
}

/* The data directory's path, as given. */
static int name_directory(const struct platform *platform, char path[PATH_MAX])
{
    const char *given = cli_value(platform->cli, "data-dir");
    const char *data = getenv("XDG_DATA_HOME"), *home = getenv("HOME");
    int length;
    if (given)
        length = snprintf(path, PATH_MAX, "%s", given);
    else if (data && *data)
        length = snprintf(path, PATH_MAX, "%s/streamlayer", data);
    else if (home && *home)
        length = snprintf(path, PATH_MAX, "%s/.local/share/streamlayer", home);
    else
        return cli_usage_error(platform->cli, "no place for the data: set HOME, or give --data-dir");
    if (length < 0 || (size_t)length >= PATH_MAX - 64)
        return cli_usage_error(platform->cli, "--data-dir: the path is too long");
    return CLI_OK;
}

/* Makes the data directory, and its path absolute. */
static int make_directory(struct platform *platform, const char *path)
{
    if (cli_make_directories(path, 0700) && realpath(path, platform->directory))
        return CLI_OK;
    return cli_error_as(platform->cli, SL_IO,
                        "%s: %s: give another place for the data with --data-dir, or XDG_DATA_HOME", path,
                        sl_errno_text(errno));
}

static void path_in(const struct platform *platform, const char *name, char out[FILE_MAX])
{
    snprintf(out, FILE_MAX, "%s/%s", platform->directory, name);
}

/* One platform a data directory. The lock goes with the process, however it ends. */
static int lock_directory(struct platform *platform)
{
    char path[FILE_MAX], owner[32] = "";
    path_in(platform, "lock", path);
    platform->lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (platform->lock < 0)
        return fail_errno(platform, path);
    if (flock(platform->lock, LOCK_EX | LOCK_NB)) {
        if (errno != EWOULDBLOCK)
            return fail_errno(platform, path);
        cli_file_tail(path, owner, sizeof owner);
        owner[strcspn(owner, "\n")] = 0;
        return cli_error_as(
            platform->cli, SL_CONFLICT,
            "%s is in use by another `streamlayer up` (process %s): stop that one, or give another "
            "--data-dir",
            platform->directory, owner);
    }
    if (ftruncate(platform->lock, 0) || dprintf(platform->lock, "%ld\n", (long)getpid()) < 0)
        return fail_errno(platform, path);
    return CLI_OK;
}

/* The gateway binds its port itself, but last: whoever has it is noticed before Kafka is started for nothing.
 * 0, or the errno. */
static int port_failure(int64_t wanted)
{
    int port = (int)wanted;
    int fd = cli_bind_port(&port);
    int failure = fd < 0 ? errno : 0;
    if (fd >= 0)
        close(fd);
    return failure;
}

static int fail_port(const struct platform *platform, int64_t port, int failure)
{
    return cli_error_as(
        platform->cli, SL_IO,
        "port %lld on 127.0.0.1: %s: give another one with --port, or --port 0 for any free one",
        (long long)port, sl_errno_text(failure));
}

/* The gateway's log goes to a file; what a person must know also to standard error. */
static void log_line(void *opaque, sl_log_level level, const char *text)
{
    static const char *const names[] = {"", "error", "warning", "info", "debug"};
    struct platform *platform = opaque;
    char when[32];
    time_t now = time(NULL);
    struct tm parts;
    strftime(when, sizeof when, "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&now, &parts));
    fprintf(platform->log, "%s %s %s\n", when, names[level], text);
    /* Until all is ready, Kafka's client reports each try in vain; wait_until_ready says what counts. */
    bool passing = !atomic_load(&platform->ready) && !strncmp(text, "kafka ", 6);
    if (level == SL_LOG_ERROR && !passing)
        cli_error(platform->cli, "%s", text);
    else if (level == SL_LOG_WARNING && platform->cli->verbose)
        cli_warning(platform->cli, "%s", text);
}

static int open_log(struct platform *platform)
{
    char path[FILE_MAX];
    path_in(platform, "gateway.log", path);
    platform->log = fopen(path, "ae");
    if (!platform->log)
        return fail_errno(platform, path);
    setvbuf(platform->log, NULL, _IOLBF, 0);
    return CLI_OK;
}

static int set(const struct platform *platform, const char *path, const char *value)
{
    sl_error error = {0};
    return sl_config_set(platform->cli->config, path, value, &error) ? cli_fail(platform->cli, &error)
                                                                     : CLI_OK;
}

/* Whether whoever starts it has said so. */
static bool is_set(const struct platform *platform, const char *path)
{
    const char *origin = sl_config_origin(platform->cli->config, path);
    return origin && strcmp(origin, "default") != 0;
}

/* The gateway shows the certificate that was made for it; applications show their tokens. */
static int set_secure_kafka(const struct platform *platform)
{
    char own[32], tls[FILE_MAX], certificate[FILE_MAX + 32], authority[FILE_MAX + 32];
    path_in(platform, CLI_KAFKA_TLS, tls);
    snprintf(own, sizeof own, "127.0.0.1:%d", platform->kafka.internal_port);
    snprintf(certificate, sizeof certificate, "%s/" CLI_KAFKA_GATEWAY ".pem", tls);
    snprintf(authority, sizeof authority, "%s/ca.pem", tls);
    const struct {
        const char *name, *value;
    } settings[] = {
        {GATEWAY "kafka.brokers", own},
        {GATEWAY "kafka.client.security.protocol", "ssl"},
        {GATEWAY "kafka.client.ssl.ca.location", authority},
        {GATEWAY "kafka.client.ssl.certificate.location", certificate},
        {GATEWAY "kafka.client.ssl.key.location", certificate},
        /* It is there before Kafka is: it is to notice soon when that comes. */
        {GATEWAY "kafka.client.reconnect.backoff.max.ms", "1000"},
        {GATEWAY "kafka.advertised.brokers", platform->brokers},
        {GATEWAY "kafka.advertised.security-protocol", "sasl_ssl"},
        {GATEWAY "kafka.advertised.sasl-mechanism", "OAUTHBEARER"},
        {GATEWAY "kafka.advertised.ca-file", authority},
        {GATEWAY "kafka.acls.enabled", "true"},
        {GATEWAY "kafka.quotas.enabled", "true"}, /* where limits.throughput is kept */
    };
    int code = CLI_OK;
    for (size_t i = 0; i < sizeof settings / sizeof *settings && !code; i++)
        code = set(platform, settings[i].name, settings[i].value);
    return code;
}

static int set_kafka(const struct platform *platform)
{
    int code = platform->secure
                   ? set_secure_kafka(platform)
                   : set(platform, GATEWAY "kafka.brokers",
                         platform->local ? platform->brokers : cli_value(platform->cli, "kafka"));
    /* One node keeps one copy; a cluster knows its own default. */
    if (!code && platform->local)
        code = set(platform, GATEWAY "kafka.replication-factor", "1");
    return code;
}

static int start_gateway(struct platform *platform, int64_t port)
{
    char text[24];
    snprintf(text, sizeof text, "%lld", (long long)port);
    int code = set(platform, GATEWAY "listen.address", "127.0.0.1");
    if (!code)
        code = set(platform, GATEWAY "listen.port", text);
    if (!code)
        code = set(platform, GATEWAY "data-directory", platform->directory);
    if (!code)
        code = set_kafka(platform);
    /* Pages that a developer serves on this machine, at whatever port. */
    if (!code && !is_set(platform, GATEWAY "cors.origins"))
        code = set(platform, GATEWAY "cors.origins", "*");
    if (!code && !is_set(platform, GATEWAY "limits.throughput"))
        code = set(platform, GATEWAY "limits.throughput", "false");
    if (code)
        return code;
    sl_error error = {0};
    struct sl_log log = {.callback = log_line,
                         .opaque = platform,
                         .level = platform->cli->verbose > 1 ? SL_LOG_DEBUG : SL_LOG_INFO};
    if (sl_config_check(platform->cli->config, &error) ||
        gw_start(platform->cli->config, &log, &platform->gateway, &error))
        return cli_fail(platform->cli, &error);
    snprintf(platform->url, sizeof platform->url, "%s://127.0.0.1:%u",
             gw_speaks_tls(platform->gateway) ? "https" : "http", gw_port(platform->gateway));
    return CLI_OK;
}

/* Kafka reads the gateway's keys as it starts, so it comes second. */
static int start_secure_kafka(struct platform *platform)
{
    const char *file = sl_config_get(platform->cli->config, "here.platform.data-client.tls.ca-file");
    snprintf(platform->jwks_url, sizeof platform->jwks_url, "%s/oauth2/jwks", platform->url);
    platform->tokens = (struct cli_kafka_tokens){.jwks_url = platform->jwks_url,
                                                 .issuer = gw_issuer(platform->gateway),
                                                 .audience = gw_audience(platform->gateway)};
    if (gw_speaks_tls(platform->gateway) && file && *file && realpath(file, platform->jwks_ca))
        platform->tokens.ca_file = platform->jwks_ca;
    return cli_kafka_start(&platform->kafka, &platform->tokens);
}

/* Before the gateway is started for nothing: the cluster may be starting, too, but a wrong name stays wrong.
 */
static int wait_for_brokers(const struct platform *platform)
{
    const char *brokers = cli_value(platform->cli, "kafka");
    char why[600];
    int64_t until_ms = cli_mono_ms() + REMOTE_LIMIT_MS;
    for (bool told = false; !cli_brokers_reachable(brokers, why, sizeof why); told = true) {
        if (cli_interrupted())
            return CLI_INTERRUPTED;
        if (cli_mono_ms() >= until_ms)
            return cli_error_as(platform->cli, SL_UNAVAILABLE,
                                "Kafka cannot be reached: %s: check --kafka, and whether it runs", why);
        if (!told)
            cli_warning(platform->cli, "Kafka cannot be reached: %s; it is tried for %d s", why,
                        REMOTE_LIMIT_MS / 1000);
        cli_sleep_ms(500);
    }
    return CLI_OK;
}

/* The readiness check that the gateway serves, asked of it directly: over HTTPS it might want a certificate.
 */
static int wait_until_ready(struct platform *platform)
{
    int64_t until_ms = cli_mono_ms() + READY_LIMIT_MS;
    sl_error error = {0};
    while (gw_ready(platform->gateway, &error)) {
        if (cli_interrupted())
            return CLI_INTERRUPTED;
        if (cli_mono_ms() > until_ms)
            return cli_error_as(
                platform->cli, SL_UNAVAILABLE,
                "the gateway is up, but its check at %s/ready does not pass: %s: is Kafka at %s "
                "reachable? (log: %s/gateway.log)",
                platform->url, error.text,
                platform->local ? platform->brokers : cli_value(platform->cli, "kafka"), platform->directory);
        if (platform->local)
            cli_kafka_watch(&platform->kafka);
        cli_sleep_ms(READY_POLL_MS);
    }
    return CLI_OK;
}

static int write_credentials(const struct platform *platform)
{
    struct gw_application application;
    sl_error error = {0};
    if (gw_application_ensure(platform->directory, "default", &application, &error))
        return cli_fail(platform->cli, &error);
    char path[FILE_MAX], text[1024];
    path_in(platform, "credentials.properties", path);
    snprintf(text, sizeof text,
             "# Written by `streamlayer up`: the key of its application \"default\".\n"
             "here.user.id = local\n"
             "here.client.id = %s\n"
             "here.access.key.id = %s\n"
             "here.access.key.secret = %s\n"
             "here.token.endpoint.url = %s/oauth2/token\n",
             application.id, application.key_id, application.key_secret, platform->url);
    return cli_write_file(path, text, 0600) ? CLI_OK : fail_errno(platform, path);
}

/* A path as a HOCON string. */
static void quote(const char *text, char *out)
{
    for (*out++ = '"'; *text; text++) {
        if (*text == '"' || *text == '\\')
            *out++ = '\\';
        *out++ = *text;
    }
    *out++ = '"';
    *out = 0;
}

/* Over HTTPS, applications need the files of TLS that this command itself was given for its own calls. */
static void add_tls(const struct platform *platform, struct sl_buffer *text)
{
    static const char *const names[] = {"ca-file", "certificate-file", "key-file"};
    char setting[64], absolute[PATH_MAX], quoted[2 * PATH_MAX + 3];
    for (size_t i = 0; i < sizeof names / sizeof *names && gw_speaks_tls(platform->gateway); i++) {
        snprintf(setting, sizeof setting, "here.platform.data-client.tls.%s", names[i]);
        const char *file = sl_config_get(platform->cli->config, setting);
        if (!file || !*file || !realpath(file, absolute))
            continue;
        quote(absolute, quoted);
        sl_buffer_printf(text, "  tls.%s = %s\n", names[i], quoted);
    }
}

static int write_application_conf(const struct platform *platform)
{
    static const char format[] = "# Written by `streamlayer up` at every start: changes made here are lost. "
                                 "To keep your own settings,\n"
                                 "# include this file from yours:  include file(%s)\n"
                                 "here.platform.data-client {\n"
                                 "  endpoint-locator {\n"
                                 "    discovery-service-env = custom\n"
                                 "    discovery-service-url = \"%s/lookup/v1\"\n"
                                 "  }\n"
                                 "  request-signer.credentials.file-path = %s\n"
                                 "%s"
                                 "\n"
                                 "  # How layers are reached: \"kafka-connector\" (directly; the default) or "
                                 "\"http-connector\" (through the\n"
                                 "  # gateway). Producers and consumers choose independently.\n"
                                 "  # stream.connector {\n"
                                 "  #   producer = \"kafka-connector\"\n"
                                 "  #   consumer = \"http-connector\"\n"
                                 "  # }\n"
                                 "  # For single layers: "
                                 "stream.layers.\"HRN\".LAYER.connector.consumer = \"http-connector\"\n"
                                 "\n"
                                 "  # Applications with the same credentials share a layer's messages unless "
                                 "each names a group of its own.\n"
                                 "  # stream.consumer.group = \"my-application\"\n"
                                 "}\n";
    char path[FILE_MAX], credentials[FILE_MAX];
    char quoted_path[2 * FILE_MAX + 3], quoted_credentials[2 * FILE_MAX + 3];
    struct sl_buffer text, tls;
    path_in(platform, "application.conf", path);
    path_in(platform, "credentials.properties", credentials);
    quote(path, quoted_path);
    quote(credentials, quoted_credentials);
    sl_buffer_init(&text, (size_t)1 << 20);
    sl_buffer_init(&tls, (size_t)1 << 20);
    add_tls(platform, &tls);
    errno = ENOMEM;
    bool written = !tls.failed &&
                   sl_buffer_printf(&text, format, quoted_path, platform->url, quoted_credentials,
                                    tls.data ? tls.data : "") &&
                   cli_write_file(path, text.data, 0644);
    int code = written ? CLI_OK : fail_errno(platform, path);
    sl_buffer_free(&text);
    sl_buffer_free(&tls);
    return code;
}

static const char *context_name(const struct platform *platform)
{
    const char *name = cli_value(platform->cli, "context");
    return name ? name : "local";
}

/* Whether registering works does not matter to the platform: the ready line says where the configuration is.
 */
static void register_context(struct platform *platform)
{
    char path[FILE_MAX], *before = NULL;
    sl_error error = {0};
    path_in(platform, "application.conf", path);
    if (cli_flag(platform->cli, "no-context"))
        return;
    if (!cli_context_register(context_name(platform), path, &platform->current, &before, &error))
        cli_warning(platform->cli, "the platform is not registered as a context: %s", error.text);
    else if (before)
        cli_warning(platform->cli,
                    "the context %s was of the platform of %s, which does not run: now it is this one's "
                    "(--context gives this one another name)",
                    context_name(platform), before);
    free(before);
}

static void print_ready_json(const struct platform *platform, const char *brokers)
{
    char path[FILE_MAX];
    path_in(platform, "application.conf", path);
    json_t *object = json_pack("{s:s, s:s, s:b, s:s, s:s, s:s?}", "ready", platform->url, "kafka", brokers,
                               "secure", platform->secure, "config", path, "data", platform->directory,
                               "context", platform->current ? context_name(platform) : NULL);
    if (object && !json_dumpf(object, stdout, 0))
        putchar('\n');
    json_decref(object);
    fflush(stdout);
}

static void print_ready(const struct platform *platform)
{
    const char *brokers = platform->local ? platform->brokers : cli_value(platform->cli, "kafka");
    if (platform->cli->json) {
        print_ready_json(platform, brokers);
        return;
    }
    printf("ready %s kafka=%s%s config=%s/application.conf\n", platform->url, brokers,
           platform->secure ? " security=sasl_ssl" : "", platform->directory);
    if (platform->current)
        printf("\nNext, in another terminal, where this platform is the current context, \"%s\":\n",
               context_name(platform));
    else
        printf("\nNext, in another terminal:\n"
               "  export STREAMLAYER_CONFIG='%s/application.conf'\n",
               platform->directory);
    printf("  streamlayer catalog create demo    # or another id, below too, where there is one called demo\n"
           "  streamlayer layer create hrn:here:data::local:demo cars --content-type application/json\n"
           "  echo '{\"speed\": 50}' | streamlayer produce hrn:here:data::local:demo cars --key car-17\n"
           "  streamlayer consume hrn:here:data::local:demo cars --offset begin --no-commit\n"
           "\nCtrl-C stops the platform; its data stays in %s.\n",
           platform->directory);
    fflush(stdout);
}

/* What happens meanwhile: for people, as programs read the ready line. */
static void tell(const struct platform *platform, const char *format, ...) SL_PRINTF(2, 3);
static void tell(const struct platform *platform, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    if (!platform->cli->json)
        vprintf(format, arguments);
    va_end(arguments);
    fflush(stdout);
}

/* A configuration that is gone, as of a data directory that was removed, must not keep a platform from
 * starting. */
static void drop_stale_config(struct cli *cli)
{
    const char *named = getenv("STREAMLAYER_CONFIG");
    if (!named || !*named || cli_value(cli, "config") || !access(named, F_OK) ||
        (errno != ENOENT && errno != ENOTDIR))
        return;
    cli_warning(cli, "STREAMLAYER_CONFIG names %s, which is not there: it is passed over", named);
    unsetenv("STREAMLAYER_CONFIG");
}

/* Whether a secured Kafka could read the gateway's keys. */
static int check_secure(const struct platform *platform)
{
    const char *asked = sl_config_get(platform->cli->config, GATEWAY "listen.tls.client-certificates");
    if (!platform->secure || !asked || strcmp(asked, "required") != 0)
        return CLI_OK;
    return cli_usage_error(
        platform->cli,
        "--secure: Kafka reads the gateway's keys, and has no certificate to show, which " GATEWAY
        "listen.tls.client-certificates requires: \"optional\" would do");
}

static int start(struct platform *platform)
{
    int64_t port = 8080;
    if (!cli_number(platform->cli, "port", 0, 65535, &port))
        return CLI_USAGE;
    if (platform->secure && !platform->local)
        return cli_usage_error(platform->cli,
                               "--secure is for a Kafka of its own; how a cluster that runs is secured, and "
                               "the gateway told so, is in docs/security.md");
    char path[PATH_MAX], bad[SL_SERVER_TOLD];
    const char *brokers = platform->local ? "" : cli_value(platform->cli, "kafka");
    if (!platform->local && (!*brokers || !sl_servers_ok(brokers, bad)))
        return cli_usage_error(platform->cli, "--kafka %s: \"%s\" is not of the form HOST:PORT", brokers,
                               *brokers ? bad : "");
    drop_stale_config(platform->cli);
    const char *name = context_name(platform);
    if (!sl_context_name_ok(name))
        return cli_usage_error(platform->cli,
                               "\"%s\" cannot be a context's name: 1 to 64 letters, digits, - and _", name);
    int code = cli_load_platform_config(platform->cli);
    if (!code)
        code = check_secure(platform);
    if (!code)
        code = name_directory(platform, path);
    if (code)
        return code;
    int taken = port_failure(port);
    /* No directory is made for nothing; where there is one, its lock may know whose the port is. */
    if (taken && access(path, F_OK))
        return fail_port(platform, port, taken);
    code = make_directory(platform, path);
    if (!code)
        code = lock_directory(platform);
    if (!code && taken)
        code = fail_port(platform, port, taken);
    if (!code)
        code = open_log(platform);
    if (code)
        return code;
    tell(platform, "streamlayer %s, data in %s\n", sl_version(), platform->directory);
    if (platform->local) {
        code = cli_kafka_prepare(&platform->kafka, platform->cli, platform->directory, platform->secure);
        snprintf(platform->brokers, sizeof platform->brokers, "127.0.0.1:%d", platform->kafka.port);
        if (!code && !platform->secure)
            code = cli_kafka_start(&platform->kafka, NULL);
    } else {
        code = wait_for_brokers(platform);
    }
    if (!code) {
        tell(platform, "starting the gateway (log: %s/gateway.log)\n", platform->directory);
        code = start_gateway(platform, port);
    }
    if (!code)
        code = write_credentials(platform);
    if (!code)
        code = write_application_conf(platform);
    if (!code && platform->secure)
        code = start_secure_kafka(platform);
    if (!code && !platform->local) {
        tell(platform, "asking Kafka at %s\n", cli_value(platform->cli, "kafka"));
    }
    if (!code)
        code = wait_until_ready(platform);
    if (!code)
        atomic_store(&platform->ready, true);
    return code;
}

static int up(struct cli *cli)
{
    struct platform *platform = calloc(1, sizeof *platform);
    if (!platform) {
        cli_out_of_memory(cli);
        return CLI_FAILED;
    }
    const char *kafka = cli_value(cli, "kafka");
    platform->cli = cli;
    platform->lock = -1;
    platform->local = !kafka || !strcmp(kafka, "local");
    platform->secure = cli_flag(cli, "secure");
    int code = start(platform);
    if (!code)
        register_context(platform);
    if (!code)
        print_ready(platform);
    while (!code && !cli_interrupted()) {
        cli_sleep_ms(WATCH_MS);
        if (platform->local && !cli_interrupted())
            cli_kafka_watch(&platform->kafka);
    }
    if (!code) {
        tell(platform, "stopping\n");
    }
    /* The gateway first: what it has promised must reach Kafka. */
    gw_stop(&platform->gateway, STOP_GRACE_MS);
    cli_kafka_stop(&platform->kafka);
    if (platform->log)
        fclose(platform->log);
    if (platform->lock >= 0)
        close(platform->lock);
    free(platform);
    return code;
}

const struct cli_command cli_up_command = {
    .name = "up",
    .operands = "",
    .min_operands = 0,
    .max_operands = 0,
    .summary = "run a whole platform on this machine: gateway and Apache Kafka",
    .details =
        "Starts an Apache Kafka of its own (or uses the cluster that --kafka names) and the gateway in front "
        "of "
        "it,\n"
        "both on 127.0.0.1, and prints a line that begins \"ready\" when messages can flow. The data "
        "directory "
        "gets\n"
        "credentials.properties and application.conf, which applications and this command's --config read. "
        "All\n"
        "data stays in it; Kafka itself is fetched once, with Maven, into the cache (XDG_CACHE_HOME).\n"
        "Ctrl-C or SIGTERM stops both cleanly. STREAMLAYER_KAFKA_HEAP sets Kafka's heap (default 512m).\n"
        "\n"
        "With --secure, Kafka speaks TLS only, takes the gateway's tokens (SASL OAUTHBEARER), and has access "
        "control;\n"
        "certificates are made in the data directory's kafka-tls. A data directory that was secured once "
        "stays so.",
    .examples = "  streamlayer up\n"
                "  streamlayer up --data-dir /tmp/try --port 0\n"
                "  streamlayer up --data-dir /tmp/secured --secure\n"
                "  streamlayer up --kafka broker1:9092,broker2:9092\n",
    .options = up_options,
    .related = "context list,status",
    .run = up,
};
