/* streamlayer status: each thing that has to work, in the order in which one needs the other. */
#include "acl.h"
#include "base/error.h"
#include "base/text.h"
#include "client/client.h"
#include "config/settings.h"
#include "help.h"
#include "kafka.h"
#include "platform.h"

#include <dlfcn.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define TRY_MS 5000 /* of one call: who asks for the status waits no longer */
#define TOKEN  SL_ROOT "request-signer.credentials.here-token"
#define DETAIL 700

#define DISK_FULL 507 /* HTTP's status, where the gateway has no room on its disk */

enum state { OK, FAILED, SKIPPED };

struct status {
    struct cli *cli;
    json_t *checks;
    int code;      /* of the first that failed */
    bool away;     /* the gateway cannot be reached */
    int64_t began; /* the check at hand */
    bool direct;   /* a side uses Direct Kafka */
    bool direct_consumer;
    bool proxied; /* the platform is reached through a proxy */
};

static void add(struct status *status, const char *name, enum state state, const char *cure,
                const char *format, ...) SL_PRINTF(5, 6);
static void add(struct status *status, const char *name, enum state state, const char *cure,
                const char *format, ...)
{
    static const char *const words[] = {"ok", "failed", "skipped"};
    static const char *const colors[] = {"32", "31", "33"};
    char detail[DETAIL];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(detail, sizeof detail, format, arguments);
    va_end(arguments);
    sl_clean_line(detail);
    if (status->cli->json) {
        json_array_append_new(status->checks, json_pack("{s:s, s:s, s:s, s:s?}", "check", name, "state",
                                                        words[state], "detail", detail, "cure", cure));
        return;
    }
    const char *no_color = getenv("NO_COLOR");
    bool color = isatty(STDOUT_FILENO) && !cli_flag(status->cli, "no-color") && !(no_color && *no_color);
    if (color)
        printf("\033[%sm%-8s\033[0m", colors[state], words[state]);
    else
        printf("%-8s", words[state]);
    printf("%-14s  %s\n", name, detail);
    if (cure)
        printf("%26s%s\n", "-> ", cure);
    fflush(stdout);
}

/* Whoever shows a certificate is there, and is not to be started. What else may be wrong with one, its text
 * tells. */
static const char *certificate_cure(const char *text)
{
    if (!strstr(text, "the certificate of "))
        return NULL;
    return strstr(text, " is signed by ")
               ? "name the file with the platform's CA (PEM): -D " SL_ROOT
                 "tls.ca-file=FILE, or tls.ca-file in the configuration"
               : "the platform is there: whoever operates it mends its certificate";
}

static void fail(struct status *status, const char *name, const sl_error *error, const char *cure)
{
    int code = cli_exit_code(error->status);
    const char *certificate = certificate_cure(error->text);
    if (certificate)
        cure = certificate;
    else if (error->http_status == DISK_FULL)
        cure = "whoever operates the platform makes room on the disk of its data directory";
    status->code = status->code ? status->code : code;
    add(status, name, FAILED, cure, "%s", error->text[0] ? error->text : sl_status_text(error->status));
}

static long long elapsed(const struct status *status)
{
    return (long long)(cli_mono_ms() - status->began);
}

static void check_configuration(struct status *status)
{
    struct cli *cli = status->cli;
    char *url = NULL;
    sl_error error = {0};
    if (sl_config_check(cli->config, &error) || sl_config_lookup_url(cli->config, &url, &error)) {
        fail(status, "configuration", &error,
             "`streamlayer config show --origin` tells where each value comes from");
        return;
    }
    char platform[DETAIL];
    cli_platform_describe(cli, platform, sizeof platform);
    add(status, "configuration", OK, NULL, "%s", platform);
    status->proxied = cli_platform_proxy(cli, platform, sizeof platform);
    if (status->proxied)
        add(status, "proxy", OK, NULL, "%s", platform);
    free(url);
}

static const char proxy_cure[] =
    "the proxy is asked for it: does the proxy run, let you in, and reach it? What is to be reached without "
    "belongs into here.platform.data-client.proxy.exclude or no_proxy";

static void add_credentials(struct status *status, const char *until)
{
    char *what = sl_auth_describe(status->cli->client->auth);
    add(status, "credentials", OK, NULL, "%s; token %s, %lld ms", what ? what : "?", until, elapsed(status));
    free(what);
}

static const char credentials_cure[] =
    "`streamlayer up` writes credentials; docs/configuration.md, \"Credentials\", tells the other ways";
static const char refused_cure[] =
    "are these for this platform? A key that has ended, or was lost, is replaced by an administrator: "
    "`streamlayer app rotate NAME`";

static bool check_credentials(struct status *status)
{
    struct cli *cli = status->cli;
    sl_error error = {0};
    char *token = NULL, until[64] = "does not say until when";
    int64_t expires_ms = -1;
    status->began = cli_mono_ms();
    sl_status failure = sl_client_token(cli->client, &token, &expires_ms, &error);
    if (!failure && expires_ms > 0) {
        time_t when = (time_t)(expires_ms / 1000);
        struct tm parts;
        strftime(until, sizeof until, "until %Y-%m-%dT%H:%M:%SZ", gmtime_r(&when, &parts));
    }
    bool unreachable = failure == SL_UNAVAILABLE || failure == SL_TIMED_OUT;
    if (unreachable && status->away)
        add(status, "credentials", SKIPPED, NULL, "no token can be had either: %s", error.text);
    else if (unreachable)
        fail(status, "credentials", &error,
             status->proxied ? proxy_cure : "is the platform running, and is its token endpoint right?");
    else if (failure)
        fail(status, "credentials", &error, error.http_status == 401 ? refused_cure : credentials_cure);
    else
        add_credentials(status, until);
    sl_free(token);
    return failure == SL_OK;
}

/* A client for questions without a token: that there are no credentials says nothing of the gateway. */
static sl_status open_probe(const struct cli *cli, sl_client **probe, sl_error *error)
{
    sl_config *config = NULL;
    sl_status failure = sl_config_clone(cli->config, &config, error);
    if (!failure)
        failure = sl_config_set(config, TOKEN, "none", error);
    if (!failure)
        failure = sl_client_create(config, NULL, NULL, probe, error);
    sl_config_destroy(&config);
    return failure;
}

/* Whether the gateway's own check passes. */
static void check_ready(struct status *status, const char *lookup_url)
{
    const char *authority = strstr(lookup_url, "://");
    size_t size = authority ? (size_t)(authority - lookup_url) + 3 : 0;
    size += strcspn(lookup_url + size, "/");
    char url[2100];
    snprintf(url, sizeof url, "%.*s/ready", (int)size, lookup_url);
    struct sl_http_request request = {.method = "GET", .url = url, .timeout_ms = TRY_MS};
    struct sl_http_response response = {0};
    sl_error error = {0};
    sl_client *probe = NULL;
    if (open_probe(status->cli, &probe, &error)) {
        fail(status, "gateway", &error, NULL);
        return;
    }
    status->began = cli_mono_ms();
    sl_status failure = sl_http_perform(probe->http, &request, &response, &error);
    sl_client_destroy(&probe);
    status->away = failure != SL_OK;
    if (!failure && response.status >= 400)
        (void)sl_http_error(&response, url, &error);
    if (response.status == 200)
        add(status, "gateway", OK, NULL, "%s, %lld ms: it reaches Kafka", url, elapsed(status));
    else if (response.status == 400) /* plain HTTP to a port that speaks HTTPS */
        fail(status, "gateway", &error, "`streamlayer config show --origin` tells where the URL comes from");
    else if (response.status && response.status < 500)
        add(status, "gateway", SKIPPED, NULL, "the platform has no /ready: it is not streamlayer's gateway");
    else
        fail(status, "gateway", &error,
             status->proxied   ? proxy_cure
             : response.status ? "look into the gateway's log, and whether Kafka runs and "
                                 "streamlayer.gateway.kafka.brokers names it"
                               : "is `streamlayer up`, or streamlayerd, running there?");
    sl_http_response_free(&response);
}

static void check_gateway(struct status *status)
{
    char *url = NULL;
    sl_error error = {0};
    const char *own = sl_config_get(status->cli->config, SL_ROOT "endpoint-locator.discovery-service-url");
    const char *name = sl_config_get(status->cli->config, SL_ROOT "endpoint-locator.discovery-service-env");
    bool ours = (own && *own) || (name && !strcmp(name, "local")); /* HERE's platforms have no such check */
    if (!ours || sl_config_lookup_url(status->cli->config, &url, &error))
        return;
    check_ready(status, url);
    free(url);
}

static void check_api(struct status *status, const json_t *api)
{
    const char *name = json_string_value(json_object_get(api, "api"));
    const char *version = json_string_value(json_object_get(api, "version"));
    const char *base = json_string_value(json_object_get(api, "baseURL"));
    char label[64];
    sl_error error = {0};
    if (!name || !version || !base)
        return;
    snprintf(label, sizeof label, "%s %s", name, version);
    struct sl_http_request request = {.method = "GET", .url = base, .timeout_ms = TRY_MS};
    status->began = cli_mono_ms();
    /* Any answer below 500 means that it is there, whatever it says of this path. */
    if (!sl_client_call(status->cli->client, &request, NULL, &error) ||
        (error.http_status && error.http_status < 500))
        add(status, label, OK, NULL, "%s, %lld ms", base, elapsed(status));
    else
        fail(status, label, &error, "the platform's lookup names this URL: can it be reached from here?");
}

/* Who is known, and may not: hrn NULL, no catalog is meant. */
static const char *grant_cure(char out[DETAIL], const char *hrn)
{
    snprintf(
        out, DETAIL,
        "the application has no grant for that: who manages the catalog, or an administrator, gives one: "
        "`streamlayer grant NAME %.300s read` (or write)",
        hrn ? hrn : "HRN");
    return out;
}

static void fail_lookup(struct status *status, const char *hrn, const sl_error *error)
{
    char refused[DETAIL];
    const char *cure = "is the URL right? `streamlayer config show --origin` tells where it comes from";
    if (status->proxied && strstr(error->text, "the proxy ")) {
        cure = proxy_cure;
    } else if (error->status == SL_NOT_FOUND) {
        cure = "`streamlayer catalog list` shows the catalogs";
    } else if (error->status == SL_FORBIDDEN && error->http_status) {
        cure = grant_cure(refused, hrn);
    } else if (error->status == SL_UNAUTHENTICATED || error->status == SL_FORBIDDEN) {
        char *what = sl_auth_describe(status->cli->client->auth);
        snprintf(refused, sizeof refused,
                 "the platform answers, but refuses what it is shown: %s; is that for this platform, and "
                 "still valid?",
                 what ? what : "?");
        free(what);
        cure = refused;
    }
    fail(status, "lookup", error, cure);
}

/* false: nothing more can be asked. */
static bool check_lookup(struct status *status, const char *hrn, bool authenticated)
{
    char *url = NULL, place[2400];
    json_t *apis = NULL;
    sl_error error = {0};
    if (sl_config_lookup_url(status->cli->config, &url, &error))
        return false;
    if (!authenticated) {
        add(status, "lookup", SKIPPED, NULL, "it needs credentials");
        free(url);
        return false;
    }
    snprintf(place, sizeof place, hrn ? "%s/resources/%s/apis" : "%s/platform/apis", url, hrn);
    status->began = cli_mono_ms();
    bool found = !sl_client_call_json(status->cli->client, "GET", place, NULL, &apis, &error);
    if (found)
        add(status, "lookup", OK, NULL, "%zu %s, %lld ms", json_array_size(apis),
            sl_plural(json_array_size(apis), "API", "APIs"), elapsed(status));
    else
        fail_lookup(status, hrn, &error);
    for (size_t i = 0; i < json_array_size(apis); i++)
        check_api(status, json_array_get(apis, i));
    json_decref(apis);
    free(url);
    return found;
}

static const char *rdkafka_version(const char *plugin)
{
    void *handle = dlopen(plugin, RTLD_NOW | RTLD_LOCAL | RTLD_NOLOAD);
    const char *(*version)(void) = NULL;
    if (!handle)
        return "?";
    *(void **)&version = dlsym(handle, "rd_kafka_version_str"); /* as POSIX has it */
    const char *text = version ? version() : "?";
    dlclose(handle);
    return text;
}

/* A side, and the connector that it uses: for the layer, where there is one. */
static void check_connector(struct status *status, const char *side, const char *hrn, const char *layer)
{
    char path[96], *from = NULL;
    const struct sl_config *config = status->cli->config;
    sl_error error = {0};
    const char *name = NULL;
    const struct sl_connector *connector = NULL;
    snprintf(path, sizeof path, SL_ROOT "stream.connector.%s", side);
    if (sl_config_layer_choice(config, path, hrn, layer, &name, &from, &error) ||
        sl_connector_find(status->cli->client, side, hrn, layer, NULL, &connector, &error)) {
        fail(status, side, &error, NULL);
        free(from);
        return;
    }
    status->direct = status->direct || connector->direct;
    status->direct_consumer = status->direct_consumer || (connector->direct && !strcmp(side, "consumer"));
    const char *where_from = sl_config_origin(config, from);
    const char *own = strcmp(from, path) != 0 ? ", for this layer" : "";
    Dl_info where;
    if (connector->direct && dladdr(connector, &where) && where.dli_fname)
        add(status, side, OK, NULL, "%s (%s%s), %s, ABI %u, librdkafka %s", name,
            where_from ? where_from : "?", own, where.dli_fname, connector->abi,
            rdkafka_version(where.dli_fname));
    else
        add(status, side, OK, NULL, "%s (%s%s)", name, where_from ? where_from : "?", own);
    free(from);
}

/* side: whose way there it is. */
static void add_endpoint(struct status *status, const struct sl_endpoint *endpoint, const char *side)
{
    sl_error error = {0};
    char why[400];
    add(status, "layer", OK, NULL, "%stopic %s, group prefix %s, %lld ms", side, endpoint->topic,
        endpoint->group_prefix ? endpoint->group_prefix : "", elapsed(status));
    status->began = cli_mono_ms();
    if (cli_brokers_reachable(endpoint->brokers, why, sizeof why)) {
        add(status, "brokers", OK, NULL, "%s, %lld ms%s%s", endpoint->brokers, elapsed(status),
            endpoint->security_protocol ? ", " : "",
            endpoint->security_protocol ? endpoint->security_protocol : "");
    } else {
        error.status = SL_UNAVAILABLE;
        snprintf(error.text, sizeof error.text, "%s", why);
        fail(status, "brokers", &error,
             "Direct Kafka needs a way to these brokers; where there is none, choose http-connector");
    }
}

/* Whether messages may be had over HTTP now. A subscription that is none is asked for them: who may have them
 * hears that it is unknown, and nothing is joined, taken, or counted. */
static sl_status ask_for_messages(struct status *status, const char *hrn, const char *layer, sl_error *error)
{
    char *base = NULL;
    struct sl_buffer url;
    sl_buffer_init(&url, 4096);
    sl_status failure = sl_client_base_url(status->cli->client, hrn, "stream", "v2", &base, NULL, error);
    if (!failure) {
        sl_buffer_printf(&url, "%s/layers/%s/partitions?subscriptionId=streamlayer-status", base, layer);
        struct sl_http_request request = {.method = "GET", .url = url.data, .timeout_ms = TRY_MS};
        failure =
            url.failed ? sl_error_oom(error) : sl_client_call(status->cli->client, &request, NULL, error);
        if (error->http_status == 404)
            failure = SL_OK;
    }
    free(base);
    sl_buffer_free(&url);
    return failure;
}

/* Reading goes over HTTP there, with a Marketplace subscription; writing goes either way. */
static void check_market_layer(struct status *status, const char *hrn, const char *layer)
{
    struct sl_endpoint endpoint = {0};
    sl_error error = {0};
    char cure[DETAIL];
    bool writes = !sl_client_endpoint(status->cli->client, hrn, layer, "producer", &endpoint, NULL);
    status->began = cli_mono_ms();
    sl_status failure = ask_for_messages(status, hrn, layer, &error);
    if (!failure && !status->direct_consumer) {
        add(status, "layer", OK, NULL,
            "on the Marketplace: it is read over HTTP and counted, and may be read, %lld ms",
            elapsed(status));
    } else if (!failure) {
        snprintf(cure, sizeof cure,
                 "to read it: " SL_ROOT "stream.layers.\"%.300s\".\"*\".connector.consumer = http-connector",
                 hrn);
        error.status = SL_FORBIDDEN;
        snprintf(error.text, sizeof error.text,
                 "on the Marketplace: it may be read, but over HTTP only, and the consumer is "
                 "kafka-connector");
        if (writes)
            add(status, "layer", SKIPPED, cure, "%s", error.text);
        else
            fail(status, "layer", &error, cure);
    } else if (error.status == SL_FORBIDDEN && writes) {
        add(status, "layer", SKIPPED, NULL, "on the Marketplace: it may be written, not read: %s",
            error.text);
    } else {
        snprintf(cure, sizeof cure,
                 "a layer on the Marketplace is read over HTTP, by Marketplace subscription: `streamlayer "
                 "marketplace list` shows this application's; the catalog's provider gives one: `streamlayer "
                 "marketplace subscribe NAME %.300s`",
                 hrn);
        fail(status, "layer", &error,
             error.status == SL_FORBIDDEN ? cure : "is the platform's stream API to be reached from here?");
    }
    status->began = cli_mono_ms();
    if (writes && status->direct)
        add_endpoint(status, &endpoint, "to write it: ");
    sl_endpoint_free(&endpoint);
}

/* Whether the catalog says that it is on the Marketplace, and has the layer. */
static bool is_on_marketplace(const struct status *status, const char *hrn, const char *layer)
{
    sl_catalog *catalog = NULL;
    sl_layer_spec spec = {.struct_size = sizeof spec};
    bool found = false;
    if (!sl_catalog_get(status->cli->client, hrn, &catalog, NULL) && sl_catalog_marketplace(catalog))
        for (size_t i = 0; sl_catalog_layer_at(catalog, i, &spec) && !found; i++)
            found = !strcmp(spec.id, layer);
    sl_catalog_destroy(&catalog);
    return found;
}

static void check_layer(struct status *status, const char *hrn, const char *layer)
{
    struct sl_endpoint endpoint = {0};
    sl_error error = {0};
    char cure[DETAIL];
    status->began = cli_mono_ms();
    if (is_on_marketplace(status, hrn, layer)) {
        check_market_layer(status, hrn, layer);
        return;
    }
    if (sl_client_endpoint(status->cli->client, hrn, layer, "consumer", &endpoint, &error)) {
        if (error.status == SL_FORBIDDEN && !status->direct) {
            add(status, "layer", SKIPPED, NULL, "Direct Kafka is not allowed, nor used: %s", error.text);
            return;
        }
        fail(status, "layer", &error,
             error.status == SL_FORBIDDEN ? grant_cure(cure, hrn)
                                          : "`streamlayer layer list` shows a catalog's layers");
        return;
    }
    add_endpoint(status, &endpoint, "");
    sl_endpoint_free(&endpoint);
}

/* What keeps applications from what they were granted, or leaves them what was taken. */
static void tell_drift(struct status *status, const sl_acl_report *report)
{
    sl_error error = {.status = SL_KAFKA};
    char cure[DETAIL];
    size_t missing = cli_acl_count(report, SL_ACL_MISSING), surplus = cli_acl_count(report, SL_ACL_SURPLUS),
           denied = cli_acl_count(report, SL_ACL_DENIED), beyond = cli_acl_count(report, SL_ACL_BEYOND);
    if (!missing && !surplus && !denied) {
        add(status, "grants", OK, NULL, "Kafka has them as access control lists, %lld ms%s", elapsed(status),
            beyond ? "; others have made some that give more (`streamlayer acl check`)" : "");
        return;
    }
    snprintf(
        error.text, sizeof error.text,
        "in Kafka's access control lists %zu missing, %zu surplus, %zu that others have made and that deny "
        "what was granted",
        missing, surplus, denied);
    snprintf(cure, sizeof cure, "`streamlayer acl check` shows them%s%s",
             missing + surplus ? "; `streamlayer acl repair` puts right what is missing and surplus" : "",
             denied ? "; whoever made what denies removes it (kafka-acls.sh --remove)" : "");
    fail(status, "grants", &error, cure);
}

/* For administrators, whom alone the platform tells. Others hear of it where Kafka refuses them. */
static void check_grants(struct status *status)
{
    sl_acl_report *report = NULL;
    sl_acl_cluster cluster = {.struct_size = sizeof cluster};
    sl_error error = {0};
    status->began = cli_mono_ms();
    if (sl_acl_check(status->cli->client, &report, &error)) {
        if (error.status != SL_FORBIDDEN && error.status != SL_UNSUPPORTED)
            fail(status, "grants", &error,
                 error.status == SL_TIMED_OUT && !status->away
                     ? "the gateway waits for Kafka, perhaps for a grant that is being written: ask again, "
                       "and "
                       "look into its log"
                     : NULL);
        return;
    }
    bool known = false; /* of the others it is told though one does not answer */
    for (size_t i = 0; sl_acl_report_cluster_at(report, i, &cluster); i++)
        if (!cluster.error) {
            known = true;
        } else {
            error.status = SL_UNAVAILABLE;
            snprintf(error.text, sizeof error.text, "Kafka cluster %s: %s", cluster.name, cluster.error);
            fail(status, "grants", &error, "look into the gateway's log, and whether Kafka runs");
        }
    if (known)
        tell_drift(status, report);
    sl_acl_report_destroy(&report);
}

/* What is not on the Marketplace goes on without it, so it is told only when it fails. */
static void check_ledger(struct status *status)
{
    const sl_usage_filter filter = {
        .struct_size = sizeof filter, .from_ms = (int64_t)time(NULL) * 1000, .to_ms = -1};
    sl_usage_list *list = NULL;
    sl_error error = {0};
    sl_status code = sl_usage_list_get(status->cli->client, &filter, &list, &error);
    sl_usage_list_destroy(&list);
    if (code == SL_UNAVAILABLE)
        fail(status, "ledger", &error,
             "nothing that is on the Marketplace is delivered until then; the gateway's log says what it "
             "takes");
}

static int finish(struct status *status)
{
    struct cli *cli = status->cli;
    if (cli->json) {
        json_t *object = json_pack("{s:b, s:O}", "ok", status->code == CLI_OK, "checks", status->checks);
        if (object && !json_dumpf(object, stdout, JSON_INDENT(2)))
            putchar('\n');
        json_decref(object);
    }
    json_decref(status->checks);
    int written = cli_flush_output(cli);
    return status->code ? status->code : written;
}

static int run_status(struct cli *cli)
{
    struct status status = {.cli = cli, .checks = json_array()};
    sl_error error = {0};
    if (cli->operand_count == 1) {
        json_decref(status.checks);
        return cli_usage_error(cli, "status %s: the LAYER is missing", cli->operands[0]);
    }
    int code = cli_load_config(cli);
    if (code) {
        json_decref(status.checks);
        return code;
    }
    check_configuration(&status);
    /* Whoever asks wants the answer now. */
    (void)sl_config_set(cli->config, SL_ROOT "http.connect-timeout", "3 s", NULL);
    (void)sl_config_set(cli->config, SL_ROOT "http.request-timeout", "5 s", NULL);
    (void)sl_config_set(cli->config, SL_ROOT "http.retry.attempts", "1", NULL);
    bool usable = !status.code;
    if (usable)
        check_gateway(&status);
    if (usable && sl_client_create(cli->config, NULL, NULL, &cli->client, &error)) {
        if (error.status == SL_IO && cli_credentials_file_is_missing(cli))
            error.status = SL_NOT_FOUND;
        fail(&status, "credentials", &error, credentials_cure);
        usable = false;
    }
    if (usable) {
        const char *hrn = cli->operand_count ? cli->operands[0] : NULL;
        const char *layer = hrn ? cli->operands[1] : NULL;
        check_connector(&status, "producer", hrn, layer);
        check_connector(&status, "consumer", hrn, layer);
        bool authenticated = check_credentials(&status);
        bool found = check_lookup(&status, hrn, authenticated);
        if (found && hrn)
            check_layer(&status, hrn, layer);
        if (found)
            check_grants(&status);
        if (found)
            check_ledger(&status);
    }
    return finish(&status);
}

const struct cli_command cli_status_command = {
    .name = "status",
    .operands = "[HRN LAYER]",
    .max_operands = 2,
    .summary = "check that the platform can be used, and say what to do where not",
    .details =
        "Checks the configuration, the gateway, both connectors, the credentials, and every API that the "
        "platform names, with the time that each takes; with HRN and LAYER that layer's connectors, the "
        "catalog's APIs, the layer's topic, and whether its Kafka brokers take connections from here; of one "
        "on "
        "the Marketplace, whether it may be read over HTTP. To administrators it tells whether Kafka's "
        "access control lists, "
        "where the gateway writes them, are what was granted (`acl check` shows them). The "
        "exit code is 0 when all is well, else that of the first check that failed.",
    .examples = "  streamlayer status\n"
                "  streamlayer status hrn:here:data::local:traffic cars\n"
                "  streamlayer --context prod status --json\n",
    .related = "context show,config check,up",
    .run = run_status,
};
