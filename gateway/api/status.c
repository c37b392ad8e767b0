/* Health, readiness and counters, for whoever operates the gateway. No token needed. */
#include "base/error.h"
#include "base/time.h"
#include "gateway/broker/repeats.h"
#include "gateway/broker/subscriptions.h"
#include "gateway/gateway_internal.h"

#include <dirent.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <streamlayer/version.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#define READY_FRESH_MS   1000 /* how long an answer of Kafka's is good */
#define READY_TIMEOUT_MS 2000

/* Requests wait here for the one round of checks that is under way. */
struct waiter {
    struct waiter *next;
    struct gw_request *request;
};

/* One cluster's check, a job of its own: one that is away does not hold up the others. */
struct check {
    struct gw_job job; /* first */
    struct gw_status *status;
    struct gw_broker *broker;
    sl_error error; /* under the status' lock */
};

struct gw_status {
    pthread_mutex_t lock;
    struct waiter *waiting; /* under lock, as the rest */
    size_t checking;        /* clusters that have not answered yet */
    int64_t checked_ms;     /* sl_mono_ms(); 0: never */
    struct check *checks;   /* a cluster each, in the order of gw_brokers_at; made with the first round */
    size_t count;
    int64_t begun_ms; /* wall clock; fixed */
};

sl_status gw_status_create(struct gw_status **status, sl_error *error)
{
    *status = calloc(1, sizeof **status);
    if (!*status)
        return sl_error_oom(error);
    (*status)->begun_ms = sl_wall_ms();
    pthread_mutex_init(&(*status)->lock, NULL);
    return SL_OK;
}

void gw_status_destroy(struct gw_status **status)
{
    if (!*status)
        return;
    pthread_mutex_destroy(&(*status)->lock);
    free((*status)->checks);
    free(*status);
    *status = NULL;
}

/* On a worker. */
static sl_status check_broker(struct gw_broker *broker, sl_error *error)
{
    sl_status status = gw_broker_check(broker, READY_TIMEOUT_MS, error);
    return status ? status : gw_broker_may_write(broker, error);
}

sl_status gw_ready(struct gateway *gateway, sl_error *error)
{
    return check_broker(gw_brokers_at(gateway->brokers, 0), error);
}

static void health(struct gw_request *request)
{
    static const char up[] = "{\"status\":\"up\"}";
    gw_respond(request, 200, "application/json", up, sizeof up - 1, NULL, NULL);
}

/* What a round has found, as it is answered. The default cluster decides: while another one is away only its
 * layers are, and say so. The lock is held. *error: why it is not ready. NULL: memory is out. */
static json_t *describe(const struct gw_status *status, sl_error *error)
{
    json_t *clusters = json_object();
    *error = status->checks[0].error;
    for (size_t i = 0; i < status->count; i++)
        if (json_object_set_new(clusters, gw_broker_cluster(status->checks[i].broker),
                                json_string(status->checks[i].error.status ? "away" : "ready"))) {
            json_decref(clusters);
            return NULL;
        }
    return json_pack("{s:s, s:o}", "status", "ready", "clusters", clusters);
}

/* Takes found. */
static void answer_ready(struct gw_request *request, json_t *found, const sl_error *error)
{
    if (error->status) {
        json_decref(found);
        gw_respond_error(request, 503, "not-ready", error->text,
                         error->status == SL_FORBIDDEN
                             ? "give the gateway's principal the rights of docs/security.md; it is tried "
                               "again within 30 s"
                             : "look whether Kafka runs and streamlayer.gateway.kafka.brokers names it");
    } else {
        gw_respond_json(request, 200, found);
    }
}

/* On a worker. */
static void check_kafka(struct gw_job *job)
{
    struct check *check = (struct check *)job;
    struct gw_status *status = check->status;
    sl_error error = {0};
    error.status = check_broker(check->broker, &error);
    struct waiter *waiter = NULL;
    json_t *found = NULL;
    pthread_mutex_lock(&status->lock);
    check->error = error;
    if (!--status->checking) {
        status->checked_ms = sl_mono_ms();
        waiter = status->waiting;
        status->waiting = NULL;
        found = describe(status, &error);
    }
    pthread_mutex_unlock(&status->lock);
    while (waiter) {
        struct waiter *next = waiter->next;
        answer_ready(waiter->request, json_incref(found), &error);
        free(waiter);
        waiter = next;
    }
    json_decref(found);
}

/* The lock is held. False: memory is out. */
static bool make_checks(struct gw_status *status, const struct gw_brokers *brokers)
{
    if (status->checks)
        return true;
    size_t count = gw_brokers_count(brokers);
    status->checks = calloc(count, sizeof *status->checks);
    if (!status->checks)
        return false;
    status->count = count;
    for (size_t i = 0; i < count; i++)
        status->checks[i] =
            (struct check){.job.run = check_kafka, .status = status, .broker = gw_brokers_at(brokers, i)};
    return true;
}

static void ready(struct gw_request *request)
{
    struct gateway *gateway = gw_request_opaque(request);
    struct gw_status *status = gateway->status;
    struct waiter *waiter = malloc(sizeof *waiter);
    json_t *found = NULL;
    sl_error error = {0};
    pthread_mutex_lock(&status->lock);
    if (!waiter || !make_checks(status, gateway->brokers)) {
        pthread_mutex_unlock(&status->lock);
        free(waiter);
        gw_respond_json(request, 500, NULL);
        return;
    }
    waiter->request = request;
    bool fresh = status->checked_ms && sl_mono_ms() - status->checked_ms < READY_FRESH_MS;
    bool start = !fresh && !status->checking;
    if (fresh) {
        found = describe(status, &error);
    } else {
        waiter->next = status->waiting;
        status->waiting = waiter;
    }
    if (start)
        status->checking = status->count;
    pthread_mutex_unlock(&status->lock);
    for (size_t i = 0; start && i < status->count; i++)
        gw_work_post(gateway->workers, NULL, &status->checks[i].job);
    if (fresh) {
        free(waiter);
        answer_ready(request, found, &error);
    }
}

/* One counter of all layers: the member of gw_layer_counters at offset. */
struct series {
    struct sl_buffer *text;
    const char *name;
    size_t offset;
};

static void add_layer(void *opaque, const struct gw_layer *layer)
{
    const struct series *series = opaque;
    const atomic_ullong *counter = (const void *)((const char *)layer->counters + series->offset);
    /* HRNs and ids have no character that a label would have to escape. */
    sl_buffer_printf(series->text, "%s{catalog=\"%s\",layer=\"%s\"} %llu\n", series->name, layer->hrn,
                     layer->id, atomic_load_explicit(counter, memory_order_relaxed));
}

static void layer_metrics(struct gw_catalogs *catalogs, struct sl_buffer *text)
{
    static const struct {
        const char *name, *help;
        size_t offset;
    } all[] = {
        {"streamlayer_messages_in_total", "Messages written to a layer through the gateway.",
         offsetof(struct gw_layer_counters, messages_in)},
        {"streamlayer_bytes_in_total", "Payload written to a layer through the gateway, bytes.",
         offsetof(struct gw_layer_counters, bytes_in)},
        {"streamlayer_messages_out_total", "Messages of a layer given to consumers by the gateway.",
         offsetof(struct gw_layer_counters, messages_out)},
        {"streamlayer_bytes_out_total", "Payload of a layer given to consumers by the gateway, bytes.",
         offsetof(struct gw_layer_counters, bytes_out)},
    };
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        struct series series = {text, all[i].name, all[i].offset};
        sl_buffer_printf(text, "# HELP %s %s\n# TYPE %s counter\n", all[i].name, all[i].help, all[i].name);
        gw_catalogs_each_layer(catalogs, add_layer, &series);
    }
}

/* Of those that somebody has waited at. */
static void add_throttle(void *opaque, const struct gw_layer *layer)
{
    const struct series *series = opaque;
    const struct gw_throttle *throttles[] = {&layer->counters->in, &layer->counters->out};
    for (size_t i = 0; i < 2; i++) {
        unsigned waiting = atomic_load(&throttles[i]->waiting);
        double waited_s = (double)atomic_load(&throttles[i]->waited_us) / 1e6;
        if (waiting || waited_s > 0)
            sl_buffer_printf(series->text, "%s{catalog=\"%s\",layer=\"%s\",direction=\"%s\"} %.6g\n",
                             series->name, layer->hrn, layer->id, i ? "out" : "in",
                             series->offset ? waited_s : waiting);
    }
}

static void throttle_metrics(struct gw_catalogs *catalogs, struct sl_buffer *text)
{
    struct series series = {text, "streamlayer_throttle_waiting", 0};
    sl_buffer_printf(text,
                     "# HELP %s Requests and polls that wait for their layer's throughput.\n"
                     "# TYPE %s gauge\n",
                     series.name, series.name);
    gw_catalogs_each_layer(catalogs, add_throttle, &series);
    series = (struct series){text, "streamlayer_throttle_wait_seconds_total", 1};
    sl_buffer_printf(text,
                     "# HELP %s Time that requests and polls have waited for their layer's throughput.\n"
                     "# TYPE %s counter\n",
                     series.name, series.name);
    gw_catalogs_each_layer(catalogs, add_throttle, &series);
}

/* Pages of memory in use, from the kernel; 0 where it does not say. */
static unsigned long resident_pages(void)
{
    char line[128], *second = NULL;
    FILE *file = fopen("/proc/self/statm", "re");
    if (file && fgets(line, sizeof line, file))
        second = strchr(line, ' ');
    if (file)
        fclose(file);
    return second ? strtoul(second, NULL, 10) : 0;
}

/* Descriptors open now; -1 where the kernel does not say. */
static long open_descriptors(void)
{
    DIR *files = opendir("/proc/self/fd");
    if (!files)
        return -1;
    long count = -3;       /* ., .. and the directory's own */
    while (readdir(files)) /* NOLINT(concurrency-mt-unsafe): the stream is this call's own */
        count++;
    closedir(files);
    return count;
}

static void build_metrics(const struct gw_status *status, struct sl_buffer *text)
{
    struct rlimit limit = {0};
    getrlimit(RLIMIT_NOFILE, &limit);
    sl_buffer_printf(text,
                     "# HELP streamlayer_build_info What runs.\n# TYPE streamlayer_build_info gauge\n"
                     "streamlayer_build_info{version=\"%s\"} 1\n"
                     "# HELP process_start_time_seconds Start time of the process since unix epoch in "
                     "seconds.\n# TYPE process_start_time_seconds gauge\nprocess_start_time_seconds %.3f\n"
                     "# HELP process_open_fds Number of open file descriptors.\n"
                     "# TYPE process_open_fds gauge\nprocess_open_fds %ld\n"
                     "# HELP process_max_fds Maximum number of open file descriptors.\n"
                     "# TYPE process_max_fds gauge\nprocess_max_fds %llu\n",
                     SL_VERSION, (double)status->begun_ms / 1000, open_descriptors(),
                     (unsigned long long)limit.rlim_cur);
}

static void process_metrics(struct sl_buffer *text)
{
    struct rusage usage = {0};
    getrusage(RUSAGE_SELF, &usage);
    double cpu = (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
                 (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
    sl_buffer_printf(text,
                     "# HELP process_resident_memory_bytes Resident memory size in bytes.\n"
                     "# TYPE process_resident_memory_bytes gauge\nprocess_resident_memory_bytes %lu\n"
                     "# HELP process_cpu_seconds_total Total user and system CPU time spent in seconds.\n"
                     "# TYPE process_cpu_seconds_total counter\nprocess_cpu_seconds_total %.3f\n",
                     resident_pages() * (unsigned long)sysconf(_SC_PAGESIZE), cpu);
}

static void metrics(struct gw_request *request)
{
    struct gateway *gateway = gw_request_opaque(request);
    if (!gateway->metrics_open && !gw_request_is_local(request)) {
        char client[GW_ADDRESS_TEXT];
        gw_request_client_address(request, client);
        gw_respond_errorf(request, 403, "forbidden",
                          "read them on the gateway's machine, or have its operator set "
                          "streamlayer.gateway.metrics.access to token or open",
                          "/metrics is for the gateway's own machine; this request is from %s", client);
        return;
    }
    struct sl_buffer text;
    sl_buffer_init(&text, (size_t)64 << 20);
    layer_metrics(gateway->catalogs, &text);
    throttle_metrics(gateway->catalogs, &text);
    gw_server_metrics(gateway->server, &text);
    gw_subscriptions_metrics(gateway->subscriptions, &text);
    gw_brokers_metrics(gateway->brokers, &text);
    gw_acl_metrics(gateway->acls, &text);
    gw_budget_metrics(gateway->budget, &text);
    gw_repeats_metrics(gateway->repeats, &text);
    gw_ledger_metrics(gateway->ledger, &text);
    process_metrics(&text);
    build_metrics(gateway->status, &text);
    gw_respond_buffer(request, 200, "text/plain; version=0.0.4", &text);
}

const struct gw_route gw_status_routes[] = {
    {.method = "GET",
     .pattern = "/health",
     .flags = GW_ROUTE_PUBLIC | GW_ROUTE_VITAL,
     .handle = health,
     .name = "health"},
    {.method = "GET",
     .pattern = "/ready",
     .flags = GW_ROUTE_PUBLIC | GW_ROUTE_VITAL,
     .handle = ready,
     .name = "ready"},
    {.method = "GET",
     .pattern = "/metrics",
     .flags = GW_ROUTE_PUBLIC | GW_ROUTE_VITAL,
     .handle = metrics,
     .name = "metrics"},
};
const size_t gw_status_route_count = sizeof gw_status_routes / sizeof *gw_status_routes;
