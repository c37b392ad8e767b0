/* A producer, for C++. streamlayer.hpp tells of all of them. */
#ifndef STREAMLAYER_PRODUCER_HPP
#define STREAMLAYER_PRODUCER_HPP

#include <streamlayer/client.hpp>
#include <streamlayer/consumer.hpp>
#include <streamlayer/message.hpp>
#include <streamlayer/producer.h>
#include <vector>

namespace streamlayer
{

/* What became of a message, within a delivery callback. */
class delivery
{
  public:
    /* A view of a report of the C API's. */
    explicit delivery(const sl_delivery *report) noexcept : report_(report)
    {
    }

    /* Whether the platform has it. */
    bool delivered() const noexcept
    {
        return sl_delivery_status(report_) == SL_OK;
    }

    /* SL_OK: delivered. */
    sl_status status() const noexcept
    {
        return sl_delivery_status(report_);
    }

    /* Where it lies; {-1, -1}: not known. */
    sl_offset offset() const noexcept
    {
        return sl_delivery_offset(report_);
    }

    /* The message's trace id. */
    std::optional<std::string_view> trace_id() const
    {
        return detail::view(sl_delivery_trace_id(report_));
    }

    /* What went wrong; empty when delivered. */
    std::string_view text() const noexcept
    {
        const sl_error *said = sl_delivery_error(report_);
        return said ? said->text : std::string_view();
    }

  private:
    const sl_delivery *report_;
};

/* What the program decides of a producer; the rest is configuration. */
struct producer_options {
    std::string connector; /* "kafka-connector", "http-connector"; empty: configured */
    /* Told of each message's fate, once; it must not block. */
    std::function<void(const delivery &)> delivered;
    std::size_t max_messages = 0; /* the queue's bounds: messages; 0: as configured */
    std::size_t max_bytes = 0;    /* and bytes of payload, where max_messages is not 0 */
    /* What its transactions are named, which no other producer of the application has; empty: it makes none.
     */
    std::string transactions;
};

/* Writes one layer (sl_producer). */
class producer
{
  public:
    /* How long the destructor waits for deliveries; close() tells what was left. */
    static constexpr milliseconds patience{30000};

    /* Opens it; asks the platform about the layer. */
    producer(const client &of, const std::string &hrn, const std::string &layer,
             producer_options decided = {})
    {
        sl_producer_options *made = nullptr;
        detail::check(sl_producer_options_create(&made));
        detail::owner<sl_producer_options, sl_producer_options_destroy> options(made);
        closer kept{std::make_shared<state>(state{std::move(decided), of.log()})};
        const producer_options &own = kept.kept->options;
        if (!own.connector.empty())
            detail::check(sl_producer_options_set_connector(made, own.connector.c_str()));
        if (own.max_messages)
            detail::check(sl_producer_options_set_queue(made, own.max_messages, own.max_bytes));
        if (!own.transactions.empty())
            detail::check(sl_producer_options_set_transactions(made, own.transactions.c_str()));
        if (own.delivered)
            detail::check(sl_producer_options_set_delivery(made, report, kept.kept.get()));
        sl_producer *opened = nullptr;
        detail::call(sl_producer_create, of.get(), hrn.c_str(), layer.c_str(), made, &opened);
        handle_ = {opened, std::move(kept)};
    }

    /* Takes a producer of the C API's over. What its callbacks use must stay until it is closed. */
    explicit producer(sl_producer *owned) noexcept : handle_(owned)
    {
    }

    /* Queues one message, which is copied. Waits for room up to timeout. */
    void send(const message_view &what, milliseconds timeout = forever)
    {
        detail::call(sl_producer_send, get(), what.get(), static_cast<void *>(nullptr),
                     detail::to_int(timeout));
    }

    /* Waits until every message sent before is reported. */
    void flush(milliseconds timeout = forever)
    {
        detail::call(sl_producer_flush, get(), detail::to_int(timeout));
    }

    /* Begins a transaction: of what is sent until commit() readers see all or nothing. With
     * producer_options::transactions, over Direct Kafka only. What one of the five calls for transactions
     * throws says how to go on: retriable(), call it again; fatal(), close the producer and begin from what
     * is committed; any other, abort() and do the work again. */
    void begin()
    {
        detail::call(sl_producer_begin, get());
    }

    /* Has the transaction commit what was read for it, too: all messages of a batch; of an empty one nothing.
     * The consumer does not commit by itself (consumer_options::commit 0). */
    void add_batch(consumer &from, const batch &done, milliseconds timeout = forever)
    {
        if (!done.empty())
            detail::call(sl_producer_add_batch, get(), from.get(), static_cast<const sl_batch *>(done.get()),
                         detail::to_int(timeout));
    }

    /* The same, up to and including these offsets. */
    void add_offsets(consumer &from, const std::vector<sl_offset> &done, milliseconds timeout = forever)
    {
        detail::call(sl_producer_add_offsets, get(), from.get(), done.data(), done.size(),
                     detail::to_int(timeout));
    }

    /* Waits until every message is delivered, and commits: all are seen then. */
    void commit(milliseconds timeout = forever)
    {
        detail::call(sl_producer_commit, get(), detail::to_int(timeout));
    }

    /* Gives the transaction up. */
    void abort(milliseconds timeout = forever)
    {
        detail::call(sl_producer_abort, get(), detail::to_int(timeout));
    }

    /* The one in use. */
    std::string_view connector() const
    {
        return sl_producer_connector(get());
    }

    /* Waits for deliveries and releases it; throws when messages were left: it is gone all the same. */
    void close(milliseconds timeout = patience)
    {
        std::shared_ptr<state> kept = handle_.get_deleter().kept;
        sl_producer *closing = handle_.release();
        detail::call(sl_producer_close, &closing, detail::to_int(timeout));
    }

    /* The C API's handle, still this object's. */
    sl_producer *get() const noexcept
    {
        return handle_.get();
    }

  private:
    /* What the library may call until the handle is gone. */
    struct state {
        producer_options options;
        std::shared_ptr<log_function> log;
    };

    struct closer {
        std::shared_ptr<state> kept;
        void operator()(sl_producer *handle) const noexcept
        {
            sl_producer_close(&handle, detail::to_int(patience), nullptr);
        }
    };

    static void report(void *opaque, void *, const sl_delivery *what) noexcept
    {
        static_cast<state *>(opaque)->options.delivered(delivery(what));
    }

    std::unique_ptr<sl_producer, closer> handle_;
};

} // namespace streamlayer

#endif
