/* A consumer, for C++. streamlayer.hpp tells of all of them. */
#ifndef STREAMLAYER_CONSUMER_HPP
#define STREAMLAYER_CONSUMER_HPP

#include <cstdint>
#include <iterator>
#include <streamlayer/client.hpp>
#include <streamlayer/consumer.h>
#include <streamlayer/message.hpp>
#include <vector>

namespace streamlayer
{

namespace detail
{

/* Over a batch; good for as long as the batch is. */
class batch_iterator
{
  public:
    using iterator_category = std::input_iterator_tag;
    using value_type = message_view;
    using difference_type = std::ptrdiff_t;
    using pointer = void;
    using reference = message_view;

    batch_iterator(const sl_batch *of, std::size_t index) noexcept : of_(of), index_(index)
    {
    }

    message_view operator*() const noexcept
    {
        return message_view(sl_batch_message(of_, index_));
    }

    batch_iterator &operator++() noexcept
    {
        index_++;
        return *this;
    }

    batch_iterator operator++(int) noexcept
    {
        batch_iterator before = *this;
        index_++;
        return before;
    }

    bool operator==(const batch_iterator &other) const noexcept
    {
        return index_ == other.index_;
    }

    bool operator!=(const batch_iterator &other) const noexcept
    {
        return index_ != other.index_;
    }

  private:
    const sl_batch *of_;
    std::size_t index_;
};

} // namespace detail

/* The messages of one poll (sl_batch): a range of message_view. It may outlive its consumer. */
class batch
{
  public:
    /* Takes a batch of the C API's over. */
    explicit batch(sl_batch *owned = nullptr) noexcept : handle_(owned)
    {
    }

    /* How many messages there are. */
    std::size_t size() const noexcept
    {
        return handle_ ? sl_batch_count(get()) : 0;
    }

    /* Whether the time passed without a message. */
    bool empty() const noexcept
    {
        return size() == 0;
    }

    /* The message at index, from 0. */
    message_view operator[](std::size_t index) const noexcept
    {
        return message_view(sl_batch_message(get(), index));
    }

    /* For `for (message_view message : batch)`. */
    detail::batch_iterator begin() const noexcept
    {
        return {get(), 0};
    }

    /* Behind the last message. */
    detail::batch_iterator end() const noexcept
    {
        return {get(), size()};
    }

    /* The C API's handle, still this object's. */
    sl_batch *get() const noexcept
    {
        return handle_.get();
    }

  private:
    detail::owner<sl_batch, sl_batch_destroy> handle_;
};

/* What the program decides of a consumer; the rest is configuration. */
struct consumer_options {
    std::string group;                 /* empty: as configured, or made from credentials, catalog and layer */
    std::string connector;             /* "kafka-connector", "http-connector"; empty: configured */
    sl_start start = SL_START_DEFAULT; /* where a group without a committed offset begins */
    std::optional<milliseconds> commit; /* auto commit, this often; 0: only by hand; nothing: configured */
    std::optional<bool> resolve;        /* whether polls fetch payloads that lie in blobs */
    /* Told of each change of the share, from within the consumer's calls. */
    std::function<void(sl_rebalance, const std::vector<std::int32_t> &)> rebalanced;
};

/* Reads one layer (sl_consumer). */
class consumer
{
  public:
    /* Opens it: joins the group and fixes the start positions. */
    consumer(const client &of, const std::string &hrn, const std::string &layer,
             consumer_options decided = {})
    {
        sl_consumer_options *made = nullptr;
        detail::check(sl_consumer_options_create(&made));
        detail::owner<sl_consumer_options, sl_consumer_options_destroy> options(made);
        closer kept{std::make_shared<state>(state{std::move(decided), of.log()})};
        set(made, *kept.kept);
        sl_consumer *opened = nullptr;
        detail::call(sl_consumer_create, of.get(), hrn.c_str(), layer.c_str(), made, &opened);
        handle_ = {opened, std::move(kept)};
    }

    /* Takes a consumer of the C API's over. What its callbacks use must stay until it is closed. */
    explicit consumer(sl_consumer *owned) noexcept : handle_(owned)
    {
    }

    /* Receives up to max_messages (0: as many as there are); waits up to timeout for the first. */
    batch poll(milliseconds timeout, std::size_t max_messages = 0)
    {
        sl_batch *got = nullptr;
        detail::call(sl_consumer_poll, get(), detail::to_int(timeout), max_messages, &got);
        return batch(got);
    }

    /* Commits all messages of a batch; of an empty one nothing. */
    void commit(const batch &done)
    {
        if (!done.empty())
            detail::call(sl_consumer_commit, get(), static_cast<const sl_batch *>(done.get()));
    }

    /* Commits up to and including these offsets. */
    void commit(const std::vector<sl_offset> &done)
    {
        detail::call(sl_consumer_commit_offsets, get(), done.data(), done.size());
    }

    /* Goes on at these offsets: each is the next message wanted of its Kafka partition. */
    void seek(const std::vector<sl_offset> &next)
    {
        detail::call(sl_consumer_seek, get(), next.data(), next.size());
    }

    /* To the begin or the end of all its partitions. */
    void seek(sl_start where)
    {
        detail::call(sl_consumer_seek_to, get(), where);
    }

    /* To the first message, in each partition, at or after a time. */
    void seek(std::chrono::system_clock::time_point time)
    {
        auto since = std::chrono::duration_cast<milliseconds>(time.time_since_epoch());
        detail::call(sl_consumer_seek_time, get(), static_cast<std::int64_t>(since.count()));
    }

    /* Stops handing out messages of these Kafka partitions; none named: of all. */
    void pause(const std::vector<std::int32_t> &which = {})
    {
        detail::call(sl_consumer_pause, get(), which.data(), which.size());
    }

    /* Goes on handing them out. */
    void resume(const std::vector<std::int32_t> &which = {})
    {
        detail::call(sl_consumer_resume, get(), which.data(), which.size());
    }

    /* Where it stands, partition by partition, asked of the platform now. */
    std::vector<sl_partition_position> positions() const
    {
        std::vector<sl_partition_position> list(32); /* a layer's most */
        std::size_t count = 0;
        detail::call(sl_consumer_positions, get(), list.data(), list.size(), &count);
        list.resize(std::min(count, list.size()));
        return list;
    }

    /* The payload of a message whose payload lies in a blob. */
    std::string resolve(const message_view &what) const
    {
        void *data = nullptr;
        std::size_t size = 0;
        detail::call(sl_consumer_resolve, get(), what.get(), &data, &size);
        return detail::take(static_cast<char *>(data), size);
    }

    /* The one in use. */
    std::string_view connector() const
    {
        return sl_consumer_connector(get());
    }

    /* The group's name in Kafka; nothing where the platform does not say. */
    std::optional<std::string_view> group() const
    {
        return detail::view(sl_consumer_group(get()));
    }

    /* Leaves the group and releases it; throws when that failed: it is gone all the same. */
    void close()
    {
        std::shared_ptr<state> kept = handle_.get_deleter().kept;
        sl_consumer *closing = handle_.release();
        detail::call(sl_consumer_close, &closing);
    }

    /* The C API's handle, still this object's. */
    sl_consumer *get() const noexcept
    {
        return handle_.get();
    }

  private:
    /* What the library may call until the handle is gone. */
    struct state {
        consumer_options options;
        std::shared_ptr<log_function> log;
    };

    struct closer {
        std::shared_ptr<state> kept;
        void operator()(sl_consumer *handle) const noexcept
        {
            sl_consumer_close(&handle, nullptr);
        }
    };

    static void set(sl_consumer_options *made, state &kept)
    {
        const consumer_options &own = kept.options;
        if (!own.group.empty())
            detail::check(sl_consumer_options_set_group(made, own.group.c_str()));
        if (!own.connector.empty())
            detail::check(sl_consumer_options_set_connector(made, own.connector.c_str()));
        if (own.start != SL_START_DEFAULT)
            detail::check(sl_consumer_options_set_start(made, own.start));
        if (own.commit)
            detail::check(sl_consumer_options_set_auto_commit(made, own.commit->count() > 0,
                                                              std::max(1, detail::to_int(*own.commit))));
        if (own.resolve)
            detail::check(sl_consumer_options_set_resolve(made, *own.resolve));
        if (own.rebalanced)
            detail::check(sl_consumer_options_set_rebalance(made, tell, &kept));
    }

    static void tell(void *opaque, sl_rebalance what, const std::int32_t *partitions,
                     std::size_t count) noexcept
    {
        static_cast<state *>(opaque)->options.rebalanced(what, {partitions, partitions + count});
    }

    std::unique_ptr<sl_consumer, closer> handle_;
};

} // namespace streamlayer

#endif
