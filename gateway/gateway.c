/* Joins the parts: starts them in order, stops them in the opposite one. */
#include "gateway/gateway.h"

#include "base/error.h"
#include "base/text.h"
#include "base/time.h"
#include "config/settings.h"
#include "gateway/access_log.h"
#include "gateway/api/failures.h"
#include "gateway/api/layer_spec.h"
#include "gateway/api/metering.h"
#include "gateway/api/publish.h"
#include "gateway/api/token_settings.h"
#include "gateway/broker/repeats.h"
#include "gateway/broker/subscriptions.h"
#include "gateway/gateway_internal.h"
#include "gateway/privileges.h"
#include "gateway/store/applications.h"
#include "gateway/store/blobs.h"
#include "gateway/store/db.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#define GATEWAY "streamlayer.gateway."
/* Most of them wait for Kafka: a subscriber's group may take seconds to settle. */
#define WORKERS       16
#define TOKEN_WORKERS 2
#define DISK_WORKERS  4

#define CLUSTER_SETTING "streamlayer.gateway.kafka.clusters.%s"

#define REPEATS_GRACE_MS 500 /* all that is left of them is done by the loops, at once */

static const char *text_setting(const sl_config *config, const char *path)
{
    const char *value = sl_config_get(config, path);
    return value && *value ? value : NULL;
}

static sl_status hold_directory(struct gateway *gateway, const char *directory, sl_error *error)
{
    sl_status status = gw_data_directory_ensure(directory, error);
    if (status)
        return status;
    char *file = sl_printf("%s/gateway.lock", directory);
    if (!file)
        return sl_error_oom(error);
    gateway->lock_fd = open(file, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (gateway->lock_fd < 0)
        status = sl_error_set(error, SL_IO, "cannot open %s: %s", file, sl_errno_text(errno));
    else if (flock(gateway->lock_fd, LOCK_EX | LOCK_NB))
        status = sl_error_set(
            error, SL_CONFLICT,
            "another gateway uses the data directory %s: stop it, or choose another directory", directory);
    free(file);
    return status;
}

static sl_status upgrade_stores(const struct gateway *gateway, const char *directory, sl_error *error)
{
    int from;
    char *backup;
    sl_status status = gw_db_upgrade(directory, &from, &backup, error);
    if (backup)
        SL_INFO(&gateway->log, "gateway: upgraded %s/catalogs.db from schema %d; a copy of before is %s",
                directory, from, backup);
    free(backup);
    return status;
}

/* What statements are signed with: a key of their own, which no token is of, and which has no end. */
static sl_status open_statement_keys(struct gateway *gateway, const char *directory, sl_error *error)
{
    const struct gw_token_key_settings settings = {.directory = "statement-keys", .token_ms = INT64_MAX / 4};
    return gw_token_keys_open(directory, &settings, sl_wall_ms(), &gateway->log, &gateway->statement_keys,
                              error);
}

static sl_status open_stores(struct gateway *gateway, const struct gw_settings *settings, sl_error *error)
{
    const char *directory = text_setting(gateway->config, GATEWAY "data-directory");
    sl_status status = hold_directory(gateway, directory, error);
    if (!status)
        status = gw_data_directory_tighten(directory, &gateway->log, error);
    if (!status)
        status = upgrade_stores(gateway, directory, error);
    if (!status)
        status = gw_catalogs_open(directory, &gateway->catalogs, error);
    if (!status)
        status = gw_market_open(directory, &gateway->market, error);
    if (!status)
        status = gw_blobs_open(directory, &gateway->blobs, error);
    if (!status)
        status = gw_ledger_open(directory, &settings->ledger, &gateway->log, &gateway->ledger, error);
    if (!status)
        status = gw_applications_open(directory, &gateway->applications, error);
    if (!status)
        status =
            gw_access_open(gateway->applications, gw_authorize_changed, gateway, &gateway->access, error);
    if (!status)
        status = open_statement_keys(gateway, directory, error);
    return status ? status : gw_tokens_open_configured(gateway, settings, error);
}

static sl_status read_server_settings(const sl_config *config, struct gw_server_settings *settings,
                                      sl_error *error)
{
    int64_t port, threads, connections, per_address, requests, body, header, rate, head_ms, idle_ms,
        stream_ms;
    const struct sl_number numbers[] = {
        {GATEWAY "listen.port", sl_config_integer, &port},
        {GATEWAY "threads", sl_config_integer, &threads},
        {GATEWAY "limits.connections", sl_config_integer, &connections},
        {GATEWAY "limits.connections-per-address", sl_config_integer, &per_address},
        {GATEWAY "limits.requests", sl_config_integer, &requests},
        {GATEWAY "limits.body", sl_config_bytes, &body},
        {GATEWAY "limits.header", sl_config_bytes, &header},
        {GATEWAY "limits.body-rate", sl_config_bytes, &rate},
        {GATEWAY "limits.header-timeout", sl_config_duration_ms, &head_ms},
        {GATEWAY "limits.idle-timeout", sl_config_duration_ms, &idle_ms},
        {GATEWAY "limits.subscription-idle", sl_config_duration_ms, &stream_ms},
    };
    settings->address = text_setting(config, GATEWAY "listen.address");
    if (!settings->address)
        settings->address = "127.0.0.1";
    sl_status status = sl_config_numbers(config, numbers, sizeof numbers / sizeof *numbers, error);
    if (status)
        return status;
    settings->port = (uint16_t)port;
    settings->loops = (unsigned)threads;
    settings->max_connections = (unsigned)connections;
    settings->max_connections_per_address = (unsigned)per_address;
    settings->max_requests = (unsigned)requests;
    settings->max_body = (size_t)body;
    settings->max_header = (size_t)header;
    settings->body_rate = (size_t)rate;
    settings->header_timeout_ms = (int)head_ms;
    settings->idle_timeout_ms = (int)idle_ms;
    settings->stream_timeout_ms = stream_ms < INT_MAX ? (int)stream_ms : INT_MAX;
    return SL_OK;
}

/* A smaller one could not even be begun within its size. */
static sl_status check_ledger_size(const sl_config *config, int64_t bytes, sl_error *error)
{
    static const char path[] = GATEWAY "ledger.max-size";
    if (!bytes || bytes >= GW_LEDGER_MIN)
        return SL_OK;
    const char *origin = sl_config_origin(config, path);
    return sl_error_set(
        error, SL_BAD_CONFIG, "%s: %s = %s: too small; allowed: 0 (no bound), or from %lld MiB on",
        origin ? origin : "-", path, sl_config_get(config, path), (long long)(GW_LEDGER_MIN >> 20));
}

sl_status gw_settings_read(const sl_config *config, struct gw_settings *settings, sl_error *error)
{
    const struct sl_number numbers[] = {
        {GATEWAY "limits.bytes-in-flight", sl_config_bytes, &settings->max_bytes},
        {GATEWAY "limits.blob", sl_config_bytes, &settings->max_blob},
        {GATEWAY "limits.batch-messages", sl_config_integer, &settings->max_batch},
        {GATEWAY "limits.publications", sl_config_integer, &settings->publications},
        {GATEWAY "limits.application-publications", sl_config_integer, &settings->application_publications},
        {GATEWAY "limits.application-requests", sl_config_integer, &settings->application_requests},
        {GATEWAY "push.heartbeat", sl_config_duration_ms, &settings->heartbeat_ms},
        {GATEWAY "token.lifetime", sl_config_duration_ms, &settings->token.lifetime_ms},
        {GATEWAY "token.key-lifetime", sl_config_duration_ms, &settings->token.key_lifetime_ms},
        {GATEWAY "token.key-lead", sl_config_duration_ms, &settings->token.key_lead_ms},
        {GATEWAY "token.jwks-refresh", sl_config_duration_ms, &settings->token.jwks_refresh_ms},
        {GATEWAY "limits.throttle-wait", sl_config_duration_ms, &settings->throttle_wait_ms},
        {GATEWAY "ledger.keep-deliveries", sl_config_duration_ms, &settings->ledger.keep_ms},
        {GATEWAY "ledger.max-size", sl_config_bytes, &settings->ledger.max_bytes},
    };
    sl_status status = read_server_settings(config, &settings->server, error);
    if (!status)
        status = gw_listen_read(config, &settings->listen, error);
    gw_listen_apply(&settings->listen, &settings->server);
    if (!status)
        status = sl_config_boolean(config, GATEWAY "limits.throughput", &settings->throughput, error);
    const char *volume = sl_config_get(config, GATEWAY "marketplace.volume");
    settings->volume = !volume || strcmp(volume, "warn") != 0;
    if (!status)
        status = gw_subscription_settings_read(config, &settings->subscriptions, error);
    if (!status)
        status = sl_config_numbers(config, numbers, sizeof numbers / sizeof *numbers, error);
    if (!status)
        status = check_ledger_size(config, settings->ledger.max_bytes, error);
    const char *ledger = sl_config_get(config, GATEWAY "ledger.type");
    settings->ledger.kafka = ledger && !strcmp(ledger, "kafka");
    return status ? status : gw_token_times_check(config, &settings->token, error);
}

void gw_settings_free(struct gw_settings *settings)
{
    gw_bound_free(&settings->server.bound);
    gw_listen_free(&settings->listen);
}

void gw_settings_keep(struct gateway *gateway, const struct gw_settings *settings)
{
    gateway->max_body = (int64_t)settings->server.max_body;
    gateway->max_blob = settings->max_blob;
    gateway->max_batch = settings->max_batch;
    gateway->heartbeat_ms = settings->heartbeat_ms;
    atomic_store(&gateway->keeps_volume, settings->volume);
    gateway->application_requests = settings->application_requests;
}

static sl_status name_public_url(struct gateway *gateway, const struct gw_settings *settings, sl_error *error)
{
    const char *address = settings->server.address;
    const char *set = text_setting(gateway->config, GATEWAY "public-url");
    size_t size = set ? strlen(set) : 0;
    while (size && set[size - 1] == '/')
        size--;
    bool v6 = strchr(address, ':') != NULL;
    gateway->public_url_set = size > 0;
    gateway->public_url =
        size ? strndup(set, size)
             : sl_printf("%s://%s%s%s:%u", settings->listen.secure ? "https" : "http", v6 ? "[" : "", address,
                         v6 ? "]" : "", (unsigned)gw_server_port(gateway->server));
    return gateway->public_url ? SL_OK : sl_error_oom(error);
}

/* Who may read them is a setting: gateway/api/status.c looks where from. */
static void guard_metrics(struct gateway *gateway, size_t routes)
{
    const char *readers = sl_config_get(gateway->config, GATEWAY "metrics.access");
    gateway->metrics_open = readers && strcmp(readers, "loopback") != 0;
    for (size_t i = 0; i < routes && gateway->routes; i++)
        if (!strcmp(gateway->routes[i].name, "metrics") && readers && !strcmp(readers, "token")) {
            gateway->routes[i].flags &= ~(unsigned)GW_ROUTE_PUBLIC;
            gateway->routes[i].access = GW_ACCESS_ADMIN;
        }
}

static sl_status open_access_log(struct gateway *gateway, struct gw_server_settings *settings,
                                 sl_error *error)
{
    const char *file = text_setting(gateway->config, GATEWAY "access-log.file");
    const char *format = text_setting(gateway->config, GATEWAY "access-log.format");
    if (!file)
        return SL_OK;
    unsigned loops = gw_server_loops_of(settings);
    sl_status status =
        gw_access_log_open(file, format && !strcmp(format, "json") ? GW_ACCESS_JSON : GW_ACCESS_COMBINED,
                           loops, &gateway->log, &gateway->access_log, error);
    settings->access_log = gateway->access_log;
    return status;
}

static sl_status start_server(struct gateway *gateway, struct gw_settings *all, sl_error *error)
{
    struct gw_server_settings *settings = &all->server;
    settings->budget = gateway->budget;
    settings->authenticate = gw_tokens_authenticate;
    settings->opaque = gateway;
    settings->closed = true;
    sl_status status = gw_routes_join(gateway->extended, &gateway->routes, &settings->route_count, error);
    settings->routes = gateway->routes;
    guard_metrics(gateway, settings->route_count);
    if (!status)
        status = open_access_log(gateway, settings, error);
    if (!status) {
        status = gw_server_start(settings, &gateway->log, &gateway->server, error);
        settings->bound = NULL;
    }
    return status ? status : name_public_url(gateway, all, error);
}

struct cleaning {
    struct gw_job job;
    struct gateway *gateway;
};

/* What an earlier run left half-way, and what could not be deleted when it was asked for. */
static void clean(struct gw_job *job)
{
    struct gateway *gateway = ((struct cleaning *)job)->gateway;
    sl_error error = {0};
    if (gw_config_clean(gateway, NULL, NULL, gw_kafka_deadline_ms(gateway), &error))
        SL_WARNING(&gateway->log, "topics of deleted layers are left over, and are tried again later: %s",
                   error.text);
    atomic_store(&gateway->cleaning, false);
    free(job);
}

void gw_clean_later(struct gateway *gateway)
{
    if (atomic_exchange(&gateway->cleaning, true))
        return; /* Kafka may keep it longer than until the next time */
    struct cleaning *cleaning = malloc(sizeof *cleaning);
    if (!cleaning) {
        atomic_store(&gateway->cleaning, false); /* the next one will do it */
        return;
    }
    *cleaning = (struct cleaning){.job.run = clean, .gateway = gateway};
    if (!gw_work_try(gateway->workers, NULL, &cleaning->job))
        free(cleaning);
}

/* Knowing repeats is ours, too. */
static sl_status open_repeats(struct gateway *gateway, sl_error *error)
{
    int64_t window_ms, messages;
    sl_status status = sl_config_duration_ms(gateway->config, GATEWAY "repeats.window", &window_ms, error);
    if (!status)
        status = sl_config_integer(gateway->config, GATEWAY "repeats.messages", &messages, error);
    return status ? status
                  : gw_repeats_create(gateway->extended ? window_ms : 0, (size_t)messages, &gateway->repeats,
                                      error);
}

static sl_status open_publications(struct gateway *gateway, const struct gw_settings *settings,
                                   sl_error *error)
{
    return gw_publications_create((size_t)settings->publications, (size_t)settings->application_publications,
                                  gateway->budget, &gateway->publications, error);
}

sl_status gw_ledger_settings_check(const sl_config *config, sl_error *error)
{
    const char *type = text_setting(config, GATEWAY "ledger.type"),
               *cluster = text_setting(config, GATEWAY "ledger.cluster"),
               *topic = sl_config_get(config, GATEWAY "ledger.topic"),
               *origin = sl_config_origin(config, GATEWAY "ledger.cluster");
    if (!type || strcmp(type, "kafka") != 0)
        return SL_OK;
    if (!topic || !gw_topic_name_ok(topic)) {
        sl_error_set(error, SL_BAD_CONFIG,
                     GATEWAY "ledger.topic = \"%.260s\": no Kafka topic has such a name; allowed: 1 to %d "
                             "characters of A-Z a-z 0-9 . _ -, but not . and ..",
                     topic ? topic : "", GW_TOPIC_MAX);
        sl_config_prefix(config, GATEWAY "ledger.topic", error);
        return SL_BAD_CONFIG;
    }
    if (cluster && gw_brokers_is_name(config, cluster))
        return SL_OK;
    return sl_error_set(error, SL_BAD_CONFIG,
                        "%s: " GATEWAY "ledger.cluster = %s: there is no " CLUSTER_SETTING,
                        origin ? origin : "-", cluster ? cluster : "", cluster ? cluster : "NAME");
}

/* The ledger's log is a topic. */
static sl_status connect_ledger(struct gateway *gateway, sl_error *error)
{
    int64_t partitions;
    sl_status status = gw_ledger_settings_check(gateway->config, error);
    if (!status)
        status = sl_config_integer(gateway->config, GATEWAY "ledger.partitions", &partitions, error);
    return status ? status
                  : gw_ledger_connect(gateway->ledger,
                                      gw_brokers_find(gateway->brokers, text_setting(gateway->config, GATEWAY
                                                                                     "ledger.cluster")),
                                      text_setting(gateway->config, GATEWAY "ledger.topic"), (int)partitions,
                                      error);
}

static sl_status open_parts(struct gateway *gateway, struct gw_settings *settings, sl_error *error)
{
    gw_settings_keep(gateway, settings);
    sl_status status = sl_config_boolean(gateway->config, GATEWAY "extensions", &gateway->extended, error);
    if (!status)
        status = sl_config_duration_ms(gateway->config, GATEWAY "limits.kafka-wait", &gateway->kafka_wait_ms,
                                       error);
    if (!status)
        status = gw_budget_create((size_t)settings->max_bytes, &gateway->budget, error);
    if (!status)
        status = open_stores(gateway, settings, error);
    if (!status)
        status = open_repeats(gateway, error);
    if (!status)
        status = open_publications(gateway, settings, error);
    if (!status)
        status = gw_rates_create(&gateway->address_rates, error);
    if (!status)
        status = gw_status_create(&gateway->status, error);
    if (!status)
        status = gw_workers_start(WORKERS, WORKERS / 4, &gateway->workers, error);
    if (!status)
        status = gw_workers_start(TOKEN_WORKERS, TOKEN_WORKERS, &gateway->token_workers, error);
    if (!status)
        status = gw_workers_start(DISK_WORKERS, DISK_WORKERS - 1, &gateway->disk_workers, error);
    if (!status)
        status = gw_brokers_open(gateway->config, &gateway->log, gateway->budget, &gateway->brokers, error);
    if (!status && settings->ledger.kafka)
        status = connect_ledger(gateway, error);
    if (!status)
        status = start_server(gateway, settings, error);
    if (!status)
        status =
            gw_throttler_create(gw_server_loop(gateway->server, 0), sl_mono_us, &gateway->throttler, error);
    if (!status)
        gw_throttler_set(gateway->throttler, settings->throughput, settings->throttle_wait_ms * 1000);
    if (!status)
        gw_brokers_attach(gateway->brokers, gateway->server);
    if (!status)
        status = gw_subscriptions_open(gateway->config, &gateway->log, gateway->brokers, gateway->server,
                                       gateway->workers, &gateway->subscriptions, error);
    if (!status)
        status = gw_token_clock_start(gateway, &gateway->token_clock, error);
    if (!status)
        status = gw_sweeper_start(gateway, &gateway->sweeper, error);
    if (!status)
        status = gw_acl_keeper_start(gateway, &gateway->acls, error);
    if (!status)
        gw_subscriptions_set_throttler(gateway->subscriptions, gateway->throttler);
    return status ? status : gw_watch_access_start(gateway, &gateway->watch, error);
}

/* The stores are opened by who will use them. */
static sl_status give_up_privileges(const struct gateway *gateway, sl_error *error)
{
    struct gw_user user;
    sl_status status = gw_user_read(gateway->config, &user, error);
    if (!status)
        status =
            gw_user_make_directory(&user, text_setting(gateway->config, GATEWAY "data-directory"), error);
    if (!status)
        status = gw_user_become(&user, error);
    if (!status && geteuid() == 0)
        SL_WARNING(&gateway->log,
                   "gateway: it runs as root, and need not: name a user of its own with " GATEWAY "user");
    else if (!status && user.name)
        SL_INFO(&gateway->log, "gateway: running as %s", user.name);
    return status;
}

static sl_status bind_sockets(const struct gateway *gateway, struct gw_server_settings *settings,
                              sl_error *error)
{
    sl_status status = gw_server_bind(settings, &gateway->log, &settings->bound, error);
    const char *origin = sl_config_origin(gateway->config, GATEWAY "listen.port");
    if (status == SL_IO) /* the files of TLS are told with their own settings */
        sl_error_prefix(error, "%s: " GATEWAY "listen.port = %u", origin ? origin : "default",
                        (unsigned)settings->port);
    return status;
}

static sl_status start(struct gateway *gateway, const sl_config *config, bool confined, sl_error *error)
{
    struct gw_settings settings = {0};
    sl_status status = sl_config_clone(config, &gateway->config, error);
    if (!status)
        status = sl_config_clone(config, &gateway->loaded, error);
    if (!status)
        status = gw_settings_read(gateway->config, &settings, error);
    if (!status)
        status = bind_sockets(gateway, &settings.server, error);
    if (!status && confined)
        status = give_up_privileges(gateway, error);
    if (!status)
        status = open_parts(gateway, &settings, error);
    gw_settings_free(&settings);
    return status;
}

static sl_status start_as(const sl_config *config, const struct sl_log *log, bool confined,
                          struct gateway **out, sl_error *error)
{
    *out = NULL;
    struct gateway *gateway = calloc(1, sizeof *gateway);
    if (!gateway)
        return sl_error_oom(error);
    gateway->lock_fd = -1;
    if (log)
        gateway->log = *log;
    sl_status status = start(gateway, config, confined, error);
    if (status) {
        gw_stop(&gateway, 0);
        return status;
    }
    gw_clean_later(gateway);
    gw_server_open(gateway->server);
    SL_INFO(&gateway->log, "gateway: listening, %s, %u %s", gateway->public_url,
            gw_server_loops(gateway->server), sl_plural(gw_server_loops(gateway->server), "loop", "loops"));
    *out = gateway;
    return SL_OK;
}

sl_status gw_start(const sl_config *config, const struct sl_log *log, struct gateway **out, sl_error *error)
{
    return start_as(config, log, false, out, error);
}

sl_status gw_start_confined(const sl_config *config, const struct sl_log *log, struct gateway **out,
                            sl_error *error)
{
    return start_as(config, log, true, out, error);
}

bool gw_speaks_tls(const struct gateway *gateway)
{
    return gw_server_speaks_tls(gateway->server);
}

uint16_t gw_port(const struct gateway *gateway)
{
    return gw_server_port(gateway->server);
}

const char *gw_issuer(const struct gateway *gateway)
{
    return gw_tokens_issuer(gateway->tokens);
}

const char *gw_audience(const struct gateway *gateway)
{
    return gw_tokens_audience(gateway->tokens);
}

void gw_stop(struct gateway **out, int grace_ms)
{
    struct gateway *gateway = *out;
    if (!gateway)
        return;
    *out = NULL;
    int64_t deadline = sl_deadline_ms(grace_ms < 0 ? INT_MAX : grace_ms);
    if (gateway->throttler)
        gw_throttler_stop(gateway->throttler);
    /* Polls are answered and groups left while the loops and workers still run; then what is in flight
     * ends, and with it the jobs that use Kafka; then Kafka has what it was given, or those who wait hear
     * on their loops that it has not; only then the loops go. */
    if (gateway->workers)
        gw_workers_lift_shares(gateway->workers);
    if (gateway->subscriptions)
        gw_subscriptions_close(gateway->subscriptions, sl_remaining_ms(deadline));
    if (gateway->server)
        gw_server_drain(gateway->server, sl_remaining_ms(deadline));
    gw_acl_keeper_finish(gateway->acls);
    if (gateway->tokens)
        gw_tokens_finish(gateway->tokens); /* who waits for an issuer is answered by the workers */
    if (gateway->token_workers)
        gw_workers_finish(gateway->token_workers);
    if (gateway->workers)
        gw_workers_finish(gateway->workers);
    if (gateway->disk_workers)
        gw_workers_finish(gateway->disk_workers);
    if (gateway->brokers)
        gw_brokers_finish(gateway->brokers, sl_remaining_ms(deadline));
    if (gateway->repeats)
        gw_repeats_finish(gateway->repeats, REPEATS_GRACE_MS);
    gw_ledger_finish(gateway->ledger); /* who waits for it hears on his loop */
    gw_server_stop(&gateway->server);
    gw_access_log_close(&gateway->access_log);
    gw_workers_stop(&gateway->token_workers);
    gw_workers_stop(&gateway->workers);
    gw_workers_stop(&gateway->disk_workers);
    gw_sweeper_free(&gateway->sweeper);
    gw_token_clock_free(&gateway->token_clock);
    gw_watch_access_free(&gateway->watch);
    if (gateway->subscriptions) {
        gw_subscriptions_free(&gateway->subscriptions);
        SL_INFO(&gateway->log, "gateway: stopped");
    }
    gw_throttler_destroy(&gateway->throttler);
    gw_publications_destroy(&gateway->publications);
    gw_rates_destroy(&gateway->address_rates);
    gw_acl_keeper_free(&gateway->acls);
    gw_ledger_close(&gateway->ledger);
    gw_brokers_close(&gateway->brokers);
    gw_repeats_destroy(&gateway->repeats);
    gw_status_destroy(&gateway->status);
    gw_tokens_close(&gateway->tokens);
    gw_token_keys_close(&gateway->statement_keys);
    gw_access_close(&gateway->access);
    gw_applications_close(&gateway->applications);
    gw_blobs_close(&gateway->blobs);
    gw_market_close(&gateway->market);
    gw_catalogs_close(&gateway->catalogs);
    gw_budget_destroy(&gateway->budget);
    if (gateway->lock_fd >= 0)
        close(gateway->lock_fd);
    free(gateway->routes);
    free(gateway->public_url);
    sl_config_destroy(&gateway->loaded);
    sl_config_destroy(&gateway->config);
    free(gateway);
}

struct gw_broker *gw_layer_broker(const struct gateway *gateway, const struct gw_layer *layer)
{
    return gw_brokers_find(gateway->brokers, layer->cluster);
}

int64_t gw_kafka_deadline_ms(const struct gateway *gateway)
{
    return sl_mono_ms() + gateway->kafka_wait_ms;
}

static void respond_no_cluster(struct gw_request *request, const struct gw_layer *layer)
{
    static const char action[] =
        "ask whoever operates the gateway to name the cluster's brokers in its settings";
    if (gw_sees_topics(gw_request_account(request), layer->hrn, layer->marketplace))
        gw_respond_errorf(request, 503, "cluster-not-configured", action,
                          "the Kafka cluster \"%s\" is not configured: there is no " CLUSTER_SETTING,
                          layer->cluster, layer->cluster);
    else
        gw_respond_errorf(request, 503, "cluster-not-configured", action,
                          "the Kafka cluster of the layer %s is not configured", layer->id);
}

struct gw_layer *gw_request_layer(struct gw_request *request)
{
    struct gw_layer *layer = gw_request_layer_shown(request);
    bool there = layer && gw_layer_broker(gw_request_opaque(request), layer);
    if (!layer || (there && gw_meter_begin(request, layer)))
        return layer;
    if (!there)
        respond_no_cluster(request, layer);
    gw_layer_unlink(layer);
    return NULL;
}

struct gw_layer *gw_request_layer_shown(struct gw_request *request)
{
    struct gateway *gateway = gw_request_opaque(request);
    const char *hrn = gw_request_parameter(request, "hrn"), *id = gw_request_parameter(request, "layer");
    bool catalog_exists;
    struct gw_layer *layer = gw_catalogs_find(gateway->catalogs, hrn, id, &catalog_exists);
    if (layer)
        return layer;
    if (catalog_exists)
        gw_respond_errorf(
            request, 404, "no-such-layer",
            "create the layer first, or correct its id; those that there are: streamlayer layer "
            "list, or GET /config/v1/catalogs/{hrn}",
            "the catalog %s has no layer \"%s\"", hrn, id);
    else
        gw_respond_errorf(request, 404, "no-such-catalog",
                          "create the catalog first (streamlayer catalog create, or POST "
                          "/config/v1/catalogs), or correct its HRN",
                          "there is no catalog %s", hrn);
    return NULL;
}

bool gw_request_public_url(const struct gw_request *request, struct sl_buffer *url)
{
    const struct gateway *gateway = gw_request_opaque(request);
    return (!gateway->public_url_set && gw_request_base_url(request, url)) ||
           sl_buffer_append_text(url, gateway->public_url);
}

void gw_respond_failure(struct gw_request *request, const sl_error *error)
{
    static const struct {
        sl_status status;
        int http;
        const char *code, *action;
    } answers[] = {
        {SL_INVALID_ARGUMENT, 400, "bad-request", "correct the request and send it again"},
        {SL_UNAUTHENTICATED, 401, "unauthenticated", "get a token from /oauth2/token"},
        {SL_FORBIDDEN, 403, "forbidden", "ask the catalog's owner for a grant"},
        {SL_NOT_FOUND, 404, "not-found", "look whether the name is right"},
        {SL_CONFLICT, 409, "conflict", "look at what is there, then decide"},
        {SL_TOO_LARGE, 413, "too-large", "send less at once"},
        {SL_THROTTLED, 429, "throttled", "try again after the time that Retry-After gives"},
        {SL_QUEUE_FULL, 503, "overloaded", "try again after the time that Retry-After gives"},
        {SL_CLOSED, 503, "shutting-down", "try again"},
        {SL_UNAVAILABLE, 503, "kafka-unavailable", "look at the gateway's /ready; try again"},
        {SL_TIMED_OUT, 503, "kafka-timed-out", "look at the gateway's /ready; try again"},
        {SL_UNSUPPORTED, 501, "unsupported", "do without it"},
        {SL_OUT_OF_MEMORY, 503, "out-of-memory", "try again later"},
    };
    for (size_t i = 0; i < sizeof answers / sizeof *answers; i++)
        if (answers[i].status == error->status) {
            gw_respond_error(request, answers[i].http, answers[i].code, error->text, answers[i].action);
            return;
        }
    const struct gateway *gateway = gw_request_opaque(request);
    SL_ERROR(&gateway->log, "%s %s: %s (correlation %s)", gw_request_method(request),
             gw_request_path(request), error->text, gw_request_correlation_id(request));
    if (error->status == SL_KAFKA) {
        const struct gw_failure *refused = gw_failure_of(SL_KAFKA, false);
        gw_respond_error(request, refused->http, refused->code, error->text, refused->action);
    } else if (error->status == SL_IO && error->retriable) {
        gw_respond_error(request, gw_disk_full.http, gw_disk_full.code, error->text, gw_disk_full.action);
    } else {
        gw_respond_error(request, 500, "internal", error->text, "tell whoever operates the gateway");
    }
}
