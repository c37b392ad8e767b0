/*
 * A batch: CBOR records, produced while the body arrives. What is not acknowledged is bounded: the body is
 * paused meanwhile. The answer has a result for each record, in order. What the layer's throughput has no
 * room for in time is refused record by record, and not written; nor is what nobody waits for any more.
 *
 * Everything runs on the request's loop; the reports of writes outlive a request whose client has gone, so
 * the batch goes with whichever comes last.
 */
#include "gateway/api/ingest.h"

#include "base/text.h"
#include "base/time.h"
#include "config/settings.h"
#include "gateway/api/failures.h"
#include "gateway/api/intake.h"
#include "gateway/api/metering.h"
#include "gateway/broker/repeats.h"
#include "gateway/store/blobs.h"
#include "wire/record.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define WINDOW_RECORDS 2000              /* of one batch, not acknowledged */
#define WINDOW_BYTES   ((size_t)4 << 20) /* payload, likewise */
#define RECORD_MAX     ((size_t)3 << 20) /* a record with all its parts: what waits for its rest is no longer */
#define PIECE          ((size_t)64 << 10)
#define ANSWER_MAX     ((size_t)256 << 20)
#define RESULT_BYTES   ((size_t)64)   /* that a result takes in the answer, usually */
#define ANSWER_STEP    ((size_t)1024) /* reserved for results at once */
#define HEADERS_MAX    1000
#define RETRY_MS       10
#define PREFIX_DIGITS  24
#define TRACE_MAX      128

struct record {
    struct gw_write write; /* first: reports come with its address */
    struct batch *batch;
    struct record *next;
    size_t bytes;
    int http; /* 0: not known yet */
    const char *code;
    bool asked, first; /* whether it is a repeat; it is not, and is to be settled */
    struct gw_repeat repeat;
    char trace[TRACE_MAX + 1];
};

/* Whether the layer has the blob that a record names: asked on a worker. */
struct question {
    struct gw_job job;   /* first */
    struct gw_task task; /* the answer, on the loop */
    bool answered;
    const char *owner; /* whose blobs may be named (the request's text); NULL: everyone's */
    char handle[GW_HANDLE_MAX + 1];
    struct gw_blob_info info;
    sl_error error;
};

struct batch {
    struct gw_ingest ingest;    /* first */
    struct gw_request *request; /* NULL: gone */
    struct gateway *gateway;
    struct gw_loop *loop;
    struct gw_layer *layer;
    struct gw_meter *meter;
    struct record *first, *last; /* results still to be put into the answer, in order */
    size_t listed, unacknowledged, bytes;
    struct record *spare; /* one, for reuse */
    struct record *held;  /* of the message next in the body, which cannot be written yet */
    bool waiting;         /* for what will be told of it; until then nothing more is taken */
    struct question question;
    struct gw_intake intake;
    struct sl_buffer partial; /* the front of a record whose rest has not come */
    size_t reserved;
    struct sl_buffer answer;
    size_t answer_reserved, answer_laid; /* laid: of those that are reserved, in the results' part */
    struct sl_message message;
    struct gw_timer retry;
    unsigned long long count, max;
    bool paused, stopped, whole; /* stopped: the rest of the body is not looked at; whole: its end has come */
    bool waited;                 /* it was paused at all */
    bool throttled;              /* what comes now is refused, as room says */
    struct gw_intake_answer room;
    int64_t give_up_ms; /* while Kafka's queue is full; 0: it is not */
    char prefix[PREFIX_DIGITS + 1];
};

static void record_free(struct batch *batch, struct record *record)
{
    if (batch->spare)
        free(record);
    else
        batch->spare = record;
}

static void give_answer_back(struct batch *batch)
{
    gw_budget_lift(batch->gateway->budget, GW_BUDGET_RESULTS, batch->answer_laid);
    gw_budget_give(batch->gateway->budget, batch->answer_reserved);
    batch->answer_reserved = batch->answer_laid = 0;
}

static void batch_free(struct batch *batch)
{
    while (batch->first) {
        struct record *gone = batch->first;
        batch->first = gone->next;
        free(gone);
    }
    free(batch->spare);
    free(batch->held);
    gw_timer_cancel(batch->loop, &batch->retry);
    sl_buffer_free(&batch->partial);
    sl_buffer_free(&batch->answer);
    gw_budget_give(batch->gateway->budget, batch->reserved);
    give_answer_back(batch);
    free(batch->message.headers);
    gw_meter_unlink(batch->meter);
    gw_layer_unlink(batch->layer);
    free(batch);
}

static void settle(struct batch *batch, struct record *record, bool done)
{
    if (record->first)
        gw_repeats_settle(batch->gateway->repeats, &record->repeat, done, record->write.offset);
    record->first = false;
}

/* The request is gone: the batch goes, too, unless something is still to be told to it. */
static void leave(struct batch *batch)
{
    if (batch->waiting || batch->intake.waits)
        return;
    if (batch->held)
        settle(batch, batch->held, false);
    if (!batch->unacknowledged)
        batch_free(batch);
}

static void leave_later(void *batch)
{
    leave(batch);
}

/* The request ends. */
static void batch_ended(void *data)
{
    struct batch *batch = data;
    batch->request = NULL;
    gw_timer_cancel(batch->loop, &batch->retry);
    gw_intake_end(&batch->intake, leave_later, batch);
    leave(batch);
}

/* Puts what is known at the front into the answer. */
static void collect(struct batch *batch)
{
    while (batch->first && batch->first->http) {
        struct record *record = batch->first;
        struct sl_result result = {
            .status = record->http,
            .trace_id = *record->trace ? record->trace : NULL,
            .offset = record->write.offset,
            .code = record->code,
            .text = record->code ? record->write.text : NULL,
        };
        if (batch->request)
            sl_result_encode(&batch->answer, &result);     /* a failure stays with the buffer */
        if (batch->answer.size > batch->answer_reserved) { /* one that says what went wrong */
            gw_budget_add(batch->gateway->budget, batch->answer.size - batch->answer_reserved);
            batch->answer_reserved = batch->answer.size;
        }
        batch->first = record->next;
        if (!batch->first)
            batch->last = NULL;
        batch->listed--;
        record_free(batch, record);
    }
}

/* Whether there is room for one more result: nothing is written whose outcome could not be told. */
static bool reserve_result(struct batch *batch)
{
    size_t wanted = batch->answer.size + (batch->listed + 1) * RESULT_BYTES;
    if (wanted <= batch->answer_reserved)
        return true;
    size_t more = wanted - batch->answer_reserved;
    more = more > ANSWER_STEP ? more : ANSWER_STEP;
    struct gw_budget *budget = batch->gateway->budget;
    if (!gw_budget_take(budget, more))
        return false;
    if (!gw_budget_lay(budget, GW_BUDGET_RESULTS, more)) {
        gw_budget_give(budget, more);
        return false;
    }
    batch->answer_reserved += more;
    batch->answer_laid += more;
    return true;
}

static void finish(struct batch *batch)
{
    struct gw_request *request = batch->request;
    if (!request || !batch->whole || batch->first)
        return;
    give_answer_back(batch); /* which is counted as the request's from now on */
    if (batch->answer.failed) {
        gw_respond_error(request, 503, "out-of-memory",
                         "the gateway has no memory for the results; the messages may be in the layer",
                         "send smaller batches");
        return;
    }
    if (batch->throttled) {
        char after_s[12];
        snprintf(after_s, sizeof after_s, "%d", batch->room.after_s);
        (void)gw_respond_header(request, "Retry-After", after_s); /* without memory the client chooses */
    }
    if (!batch->answer.size) {
        gw_respond(request, 200, SL_MEDIA_CBOR_SEQ, "", 0, NULL, NULL);
    } else {
        gw_respond_buffer(request, 200, SL_MEDIA_CBOR_SEQ, &batch->answer);
    }
}

static bool window_full(const struct batch *batch, unsigned parts)
{
    return batch->listed >= WINDOW_RECORDS / parts || batch->bytes >= WINDOW_BYTES / parts;
}

static void go_on(struct batch *batch)
{
    if (!batch->request || !batch->paused)
        return;
    batch->paused = false;
    gw_timer_cancel(batch->loop, &batch->retry);
    gw_request_continue(batch->request);
}

/* It has waited for the layer's throughput as long as it may: the rest is refused. */
static void overdue(struct gw_timer *timer)
{
    struct batch *batch = (struct batch *)(void *)((char *)timer - offsetof(struct batch, retry));
    gw_intake_give_up(&batch->intake);
    if (batch->request)
        gw_request_continue(batch->request);
}

static void retry(struct gw_timer *timer)
{
    go_on((struct batch *)(void *)((char *)timer - offsetof(struct batch, retry)));
}

static void count_in(const struct batch *batch, size_t bytes)
{
    struct gw_layer_counters *counters = batch->layer->counters;
    atomic_fetch_add_explicit(&counters->messages_in, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&counters->bytes_in, bytes, memory_order_relaxed);
    gw_meter_in(batch->meter, batch->layer, 1, (int64_t)bytes);
}

static void written(struct gw_write *write)
{
    struct record *record = (struct record *)(void *)write;
    struct batch *batch = record->batch;
    batch->unacknowledged--;
    batch->bytes -= record->bytes;
    record->http = 200;
    if (write->status) {
        const struct gw_failure *failure = gw_failure_of(write->status, write->retriable);
        record->http = failure->http;
        record->code = failure->code;
        /* The rest would wait as long, a window after the other. What has no result is sent again. */
        batch->stopped |= write->status == SL_TIMED_OUT;
    } else {
        count_in(batch, record->bytes);
    }
    settle(batch, record, !write->status);
    collect(batch);
    if (!batch->request) {
        leave(batch);
        return;
    }
    if (!batch->waiting && !window_full(batch, 2))
        go_on(batch);
    finish(batch);
}

/* What the message next in the body waited for is known: it is looked at again. */
static void told(struct batch *batch)
{
    batch->waiting = false;
    if (batch->request)
        go_on(batch);
    else
        leave(batch);
}

static void repeat_decided(struct gw_repeat *repeat)
{
    struct record *record = (struct record *)(void *)((char *)repeat - offsetof(struct record, repeat));
    record->first = repeat->verdict == GW_REPEAT_FIRST;
    told(record->batch);
}

static void question_answered(struct gw_task *task)
{
    struct batch *batch = (struct batch *)(void *)((char *)task - offsetof(struct batch, question.task));
    batch->question.answered = true;
    told(batch);
}

/* On a worker. */
static void run_question(struct gw_job *job)
{
    struct question *question = (struct question *)(void *)job;
    struct batch *batch = (struct batch *)(void *)((char *)question - offsetof(struct batch, question));
    gw_blob_find(batch->gateway->blobs, batch->layer->key, question->handle, question->owner, &question->info,
                 &question->error);
    gw_loop_post(batch->loop, &question->task);
}

static struct record *record_new(struct batch *batch)
{
    struct record *record = batch->spare;
    batch->spare = NULL;
    if (!record)
        record = malloc(sizeof *record);
    if (!record)
        return NULL;
    record->batch = batch;
    record->next = NULL;
    record->bytes = 0;
    record->http = 0;
    record->code = NULL;
    record->asked = record->first = false;
    record->write.done = written;
    record->write.counted = 0;
    record->write.anywhere = false;
    record->write.offset = (sl_offset){-1, -1};
    record->write.text[0] = 0;
    record->trace[0] = 0;
    return record;
}

static void append(struct batch *batch, struct record *record)
{
    if (batch->last)
        batch->last->next = record;
    else
        batch->first = record;
    batch->last = record;
    batch->listed++;
    batch->count++;
}

static void fail(struct record *record, int http, const char *code, const char *text)
{
    record->http = http;
    record->code = code;
    snprintf(record->write.text, sizeof record->write.text, "%.200s", text);
}

/* Ends the batch with a result of its own: what follows is not looked at. */
static void stop(struct batch *batch, int http, const char *code, const char *text)
{
    batch->stopped = true;
    struct record *record = record_new(batch);
    if (!record) {
        batch->answer.failed = true;
        return;
    }
    fail(record, http, code, text);
    append(batch, record);
    collect(batch);
}

static const char *name_trace(struct batch *batch, struct record *record)
{
    const char *given = batch->message.trace_id;
    if (given && sl_is_token_text(given, TRACE_MAX))
        snprintf(record->trace, sizeof record->trace, "%s", given);
    else if (!given)
        snprintf(record->trace, sizeof record->trace, "%s%08llx", batch->prefix, batch->count);
    return given ? given : record->trace;
}

/* Asks for the blob that the message names, and fills what it says of itself. *wait: not known yet. */
static const char *check_blob(struct batch *batch, int *http, const char **code, bool *wait)
{
    struct sl_message *message = &batch->message;
    struct question *question = &batch->question;
    *wait = !question->answered;
    if (!question->answered) {
        *question = (struct question){.job.run = run_question,
                                      .task.run = question_answered,
                                      .owner = gw_request_blob_owner(batch->request, batch->layer)};
        snprintf(question->handle, sizeof question->handle, "%s", message->data_handle);
        batch->waiting = true;
        gw_work_post(batch->gateway->disk_workers, gw_request_application(batch->request), &question->job);
        return NULL;
    }
    if (question->error.status) {
        const struct gw_failure *failure = gw_blob_failure_of(&question->error);
        bool missing = question->error.status == SL_NOT_FOUND;
        *http = missing ? 400 : failure->http; /* 404 is the layer's */
        *code = failure->code;
        return question->error.text;
    }
    *http = 400;
    const char *mismatch = gw_blob_mismatch(batch->layer, message, &question->info, code);
    if (message->data_size < 0)
        message->data_size = question->info.size;
    if (!message->checksum)
        message->checksum = question->info.checksum;
    return mismatch;
}

/* Why the message just decoded cannot be written, or NULL. *wait: that is not known yet. */
static const char *find_fault(struct batch *batch, struct record *record, int *http, const char **code,
                              bool *wait)
{
    struct sl_message *message = &batch->message;
    bool given = message->trace_id != NULL;
    *wait = false;
    message->trace_id = name_trace(batch, record);
    const char *fault = gw_message_fault(batch->layer, message, true, http, code);
    if (!message->partition_id) {
        message->partition_id = message->trace_id;
        message->partition_id_size = strlen(message->trace_id);
        record->write.anywhere = !given;
    }
    if (!fault && message->data_handle)
        fault = check_blob(batch, http, code, wait);
    if (fault || *wait || !given || record->asked)
        return fault;
    record->asked = true;
    record->repeat.loop = batch->loop;
    record->repeat.decided = repeat_decided;
    enum gw_repeat_verdict verdict =
        gw_repeats_enter(batch->gateway->repeats, gw_request_application(batch->request), batch->layer->key,
                         message, NULL, &record->repeat);
    record->first = verdict == GW_REPEAT_FIRST;
    *wait = batch->waiting = verdict == GW_REPEAT_WAIT;
    return NULL;
}

/* Gives the message to Kafka. False: not now, its queue is full. */
static bool produce(struct batch *batch, struct record *record)
{
    sl_error error;
    record->bytes = batch->message.payload_size;
    sl_status status = gw_broker_write(gw_layer_broker(batch->gateway, batch->layer), batch->loop,
                                       batch->layer->topic, &batch->message, &record->write, &error);
    int64_t now_ms = sl_mono_ms();
    if (status == SL_QUEUE_FULL && (!batch->give_up_ms || now_ms < batch->give_up_ms)) {
        if (!batch->give_up_ms)
            batch->give_up_ms = gw_kafka_deadline_ms(batch->gateway);
        return false;
    }
    batch->give_up_ms = 0;
    batch->stopped |= status == SL_QUEUE_FULL;
    if (status) {
        const struct gw_failure *failure = gw_failure_of(status, error.retriable);
        settle(batch, record, false);
        fail(record, failure->http, failure->code, error.text);
    } else {
        batch->unacknowledged++;
        batch->bytes += record->bytes;
    }
    return true;
}

/* Writes the message just decoded. False: not now. It will be decoded again; what is known of it is held. */
static bool write_record(struct batch *batch)
{
    struct record *record = batch->held ? batch->held : record_new(batch);
    bool begun = batch->held != NULL; /* it was paid for */
    batch->held = NULL;
    if (!record) {
        batch->stopped = batch->answer.failed = true;
        return true;
    }
    int http;
    const char *code;
    bool wait;
    bool throttled = batch->throttled && !begun;
    const char *fault = throttled ? batch->room.why : find_fault(batch, record, &http, &code, &wait);
    if (throttled) {
        (void)name_trace(batch, record);
        fail(record, 429, "throttled", fault);
    } else if (fault) {
        settle(batch, record, false);
        fail(record, http, code, fault);
    } else if (!wait && record->asked && !record->first) { /* a repeat */
        record->http = 200;
        record->write.offset = record->repeat.offset;
    } else if (wait || !produce(batch, record)) {
        batch->held = record;
        return false;
    }
    batch->question.answered = false;
    append(batch, record);
    collect(batch);
    return true;
}

/* Decodes at data and writes. *used is 0 unless a record was done with. */
static enum sl_decoded take_record(struct batch *batch, struct sl_arena *arena, const char *data, size_t size,
                                   size_t *used, bool *full)
{
    const struct sl_record_limits limits = {
        .max_payload = 2 * (size_t)SL_PAYLOAD_INLINE_MAX, .max_headers = HEADERS_MAX, .foreign = true};
    const char *why = "";
    *used = 0;
    *full = false;
    sl_message_reset(&batch->message);
    enum sl_decoded decoded = sl_record_decode(data, size, &limits, arena, &batch->message, used, &why);
    if (decoded == SL_DECODED) {
        if (batch->count >= batch->max) {
            stop(batch, 413, "too-many-records", "the batch has more records than the gateway takes at once");
        } else if (!reserve_result(batch)) {
            stop(batch, 503, "overloaded", GW_BUDGET_FULL);
        } else if (!write_record(batch)) {
            *full = true;
            *used = 0;
        }
    } else if (decoded == SL_DECODE_BAD) {
        stop(batch, 400, "malformed-record", why);
    } else if (decoded == SL_DECODE_OOM) {
        stop(batch, 503, "out-of-memory", "the gateway is out of memory");
    }
    return decoded;
}

/* Keeps the front of a record. */
static void keep_partial(struct batch *batch, const char *data, size_t size)
{
    if (batch->partial.size + size > RECORD_MAX) {
        stop(batch, 413, "message-too-large", "a record is larger than 3 MiB with all its parts");
    } else if (!gw_budget_take(batch->gateway->budget, size)) {
        stop(batch, 503, "overloaded", GW_BUDGET_FULL);
    } else {
        batch->reserved += size;
        if (!sl_buffer_append(&batch->partial, data, size))
            stop(batch, 503, "out-of-memory", "the gateway is out of memory");
    }
}

static void forget_partial(struct batch *batch, size_t size)
{
    batch->partial.size = size;
    if (batch->reserved > size) {
        gw_budget_give(batch->gateway->budget, batch->reserved - size);
        batch->reserved = size;
    }
}

/* One step: the bytes of data that are done with; 0 with *full: none can be taken now. */
static size_t step(struct batch *batch, struct sl_arena *arena, const char *data, size_t size, bool *full)
{
    size_t used, before = batch->partial.size;
    if (!before) {
        if (take_record(batch, arena, data, size, &used, full) == SL_DECODE_MORE) {
            keep_partial(batch, data, size);
            return size;
        }
        return used;
    }
    size_t piece = size < PIECE ? size : PIECE;
    keep_partial(batch, data, piece);
    if (batch->stopped)
        return size;
    enum sl_decoded decoded =
        take_record(batch, arena, batch->partial.data, batch->partial.size, &used, full);
    if (decoded == SL_DECODE_MORE)
        return piece;
    forget_partial(batch, *full ? before : 0);
    return *full || used < before ? 0 : used - before;
}

static void pause(struct batch *batch)
{
    batch->paused = batch->waited = true;
    /* Nothing of this batch will be acknowledged that could wake it: others fill the queue. */
    if (!batch->unacknowledged && !batch->waiting) {
        batch->retry.run = retry;
        if (gw_timer_set(batch->loop, &batch->retry, sl_mono_ms() + RETRY_MS))
            stop(batch, 503, "out-of-memory", "the gateway is out of memory");
    }
}

/* Pays for the next bytes. False: they are to wait. */
static bool pay(struct batch *batch, size_t size)
{
    if (batch->stopped || batch->throttled)
        return true;
    switch (gw_intake_take(&batch->intake, batch->layer, size, &batch->room)) {
    case GW_INTAKE_GOES:
        if (!batch->paused)
            gw_timer_cancel(batch->loop, &batch->retry);
        break;
    case GW_INTAKE_WAITS:
        batch->waited = true;
        batch->retry.run = overdue;
        /* Without memory for the timer it waits as long as was expected. */
        if (batch->room.due_ms < INT64_MAX)
            (void)gw_timer_set(batch->loop, &batch->retry, batch->room.due_ms);
        return false;
    case GW_INTAKE_FULL:
        batch->throttled = batch->count > 0;
        if (batch->throttled)
            break;
        if (batch->held || batch->partial.size) { /* the first one's: one goes, however large */
            gw_intake_owe(&batch->intake, size);
            break;
        }
        batch->stopped = true; /* nothing of it was taken */
        gw_respond_error_after(batch->request, 429, "throttled", batch->room.why, GW_SEND_LESS,
                               batch->room.after_s);
        break;
    }
    return true;
}

/* Its client has gone while it waited: nobody would know what is written from now on. */
static bool abandoned(struct batch *batch)
{
    if (!batch->waited || !gw_request_is_deserted(batch->request))
        return false;
    batch->stopped = true;
    gw_intake_give_up(&batch->intake);
    return true;
}

size_t gw_batch_data(struct gw_request *request, const char *data, size_t size)
{
    struct batch *batch = gw_request_data(request);
    if (!abandoned(batch) && !pay(batch, size) && !abandoned(batch))
        return 0;
    bool paid = !batch->stopped && !batch->throttled;
    struct sl_arena *arena = sl_arena_create();
    size_t taken = 0;
    if (!arena)
        stop(batch, 503, "out-of-memory", "the gateway is out of memory");
    while (taken < size && !batch->stopped) {
        bool full = batch->waiting || window_full(batch, 1);
        if (!full)
            taken += step(batch, arena, data + taken, size - taken, &full);
        if (full) {
            pause(batch);
            break;
        }
    }
    sl_arena_destroy(arena);
    if (paid)
        gw_intake_untaken(&batch->intake, size - taken);
    return batch->stopped ? size : taken;
}

void gw_batch_end(struct gw_request *request)
{
    struct batch *batch = gw_request_data(request);
    if (batch->partial.size && !batch->stopped)
        stop(batch, 400, "malformed-record", "the body ends within a record");
    batch->whole = true;
    finish(batch);
}

void gw_batch_begin(struct gw_request *request, struct gw_layer *layer)
{
    struct gateway *gateway = gw_request_opaque(request);
    const char *encoding = gw_request_header(request, "Content-Encoding");
    int64_t max = gateway->max_batch;
    struct batch *batch = NULL;
    if (encoding && strcasecmp(encoding, "identity")) {
        gw_respond_error(request, 415, "wrong-content-encoding", "a batch is sent without Content-Encoding",
                         "compress payloads, or leave it to Kafka");
    } else if (!(batch = calloc(1, sizeof *batch)) || !sl_random_hex(batch->prefix, PREFIX_DIGITS)) {
        gw_respond_error(request, 503, "out-of-memory", "the gateway is out of memory", "send again later");
    }
    int64_t whole = 0; /* without a length: not known */
    const char *length = gw_request_header(request, "Content-Length");
    if (length && !sl_parse_int(length, 0, INT64_MAX, &whole))
        whole = 0;
    if (!batch || !*batch->prefix || !gw_intake_admits_batch(request, layer, whole)) {
        free(batch);
        gw_layer_unlink(layer);
        return;
    }
    batch->ingest.batch = true;
    gw_intake_begin(&batch->intake, request);
    batch->intake.whole = whole;
    batch->request = request;
    batch->gateway = gateway;
    batch->loop = gw_request_loop(request);
    batch->layer = layer;
    batch->meter = gw_request_meter(request);
    batch->max = (unsigned long long)max;
    sl_buffer_init(&batch->partial, RECORD_MAX);
    sl_buffer_init(&batch->answer, ANSWER_MAX);
    gw_request_set_data(request, batch, batch_ended);
}
