/* Messages, for C++. streamlayer.hpp tells of all of them. */
#ifndef STREAMLAYER_MESSAGE_HPP
#define STREAMLAYER_MESSAGE_HPP

#include <streamlayer/error.hpp>
#include <streamlayer/message.h>
#include <type_traits>
#include <vector>

namespace streamlayer
{

/* A header of a message; a value that is null in Kafka is nothing. */
struct header {
    std::string_view name;                 /* its name */
    std::optional<std::string_view> value; /* its bytes */
};

/* A message to look at. What it gives lives as long as the message: for a received one, as long as its batch.
 * Parts that a message does not have are nothing. */
class message_view
{
  public:
    /* A view of a message of the C API's. */
    explicit message_view(const sl_message *message) noexcept : message_(message)
    {
    }

    /* The Kafka key. */
    std::optional<std::string_view> partition_id() const
    {
        std::size_t size = 0;
        const char *id = sl_message_partition_id(get(), &size);
        return id ? std::optional<std::string_view>(std::in_place, id, size) : std::nullopt;
    }

    /* The payload's bytes; nothing for a null value, or one that lies in a blob and was not fetched. */
    std::optional<std::string_view> payload() const
    {
        std::size_t size = 0;
        const void *data = sl_message_payload(get(), &size);
        if (!data)
            return std::nullopt;
        return std::optional<std::string_view>(std::in_place, static_cast<const char *>(data), size);
    }

    /* The event's time. */
    std::chrono::system_clock::time_point timestamp() const
    {
        return std::chrono::system_clock::time_point(milliseconds(sl_message_timestamp_ms(get())));
    }

    /* The trace id. */
    std::optional<std::string_view> trace_id() const
    {
        return detail::view(sl_message_trace_id(get()));
    }

    /* The SHA-256 of the payload, in hex. */
    std::optional<std::string_view> checksum() const
    {
        return detail::view(sl_message_checksum(get()));
    }

    /* The application's own CRC. */
    std::optional<std::string_view> crc() const
    {
        return detail::view(sl_message_crc(get()));
    }

    /* The blob that the payload lies in. */
    std::optional<std::string_view> data_handle() const
    {
        return detail::view(sl_message_data_handle(get()));
    }

    /* Where a received message lies. */
    sl_offset offset() const noexcept
    {
        return sl_message_offset(get());
    }

    /* All headers, in the order written. */
    std::vector<header> headers() const
    {
        std::vector<header> all(sl_message_header_count(get()));
        for (std::size_t i = 0; i < all.size(); i++) {
            const char *name = nullptr;
            const void *value = nullptr;
            std::size_t size = 0;
            sl_message_header_at(get(), i, &name, &value, &size);
            all[i].name = name;
            if (value)
                all[i].value.emplace(static_cast<const char *>(value), size);
        }
        return all;
    }

    /* The C API's message. */
    const sl_message *get() const noexcept
    {
        return message_;
    }

  private:
    const sl_message *message_;
};

/*
 * A message to send. Setters BORROW, as in C: what is given must stay until the message was sent or that part
 * was set anew. A std::string that would be gone at once does not compile.
 */
class message
{
  public:
    /* An empty message. */
    message()
    {
        sl_message *made = nullptr;
        detail::check(sl_message_create(&made));
        handle_.reset(made);
    }

    /* Takes a message of the C API's over: one of sl_message_create, not one of a batch. */
    explicit message(sl_message *owned) noexcept : handle_(owned)
    {
    }

    /* Messages with the same partition id keep their order. */
    message &partition_id(std::string_view id)
    {
        detail::check(sl_message_set_partition_id(get(), id.data(), id.size()));
        return *this;
    }

    /* The payload; empty is allowed. */
    message &payload(std::string_view data)
    {
        detail::check(sl_message_set_payload(get(), data.data(), data.size()));
        return *this;
    }

    /* The event's time; without one, the time of sending. */
    message &timestamp(std::chrono::system_clock::time_point time)
    {
        auto since = std::chrono::duration_cast<milliseconds>(time.time_since_epoch());
        detail::check(sl_message_set_timestamp_ms(get(), since.count()));
        return *this;
    }

    /* Adds a user header; a name may occur more than once. Name and value are borrowed. */
    message &add_header(const char *name, std::string_view value)
    {
        detail::check(sl_message_add_header(get(), name, value.data(), value.size()));
        return *this;
    }

    /* A trace id: printable ASCII; nullptr removes it. Borrowed, as all else. */
    message &trace_id(const char *id)
    {
        detail::check(sl_message_set_trace_id(get(), id));
        return *this;
    }

    /* The SHA-256 of the payload, 64 hex digits, which is checked before anything is sent. */
    message &checksum(const char *sha256_hex)
    {
        detail::check(sl_message_set_checksum(get(), sha256_hex));
        return *this;
    }

    /* A CRC of the application's own. */
    message &crc(const char *text)
    {
        detail::check(sl_message_set_crc(get(), text));
        return *this;
    }

    /* Forgets every part. */
    message &clear() noexcept
    {
        sl_message_clear(get());
        return *this;
    }

    /* Strings that end with the statement. */
    template <typename Text, typename = std::enable_if_t<std::is_same_v<Text, std::string>>>
    message &partition_id(Text &&) = delete;
    template <typename Text, typename = std::enable_if_t<std::is_same_v<Text, std::string>>>
    message &payload(Text &&) = delete;
    template <typename Text, typename = std::enable_if_t<std::is_same_v<Text, std::string>>>
    message &add_header(const char *, Text &&) = delete;

    /* To look at, and to send. */
    operator message_view() const noexcept
    {
        return message_view(get());
    }

    /* The C API's handle, still this object's. */
    sl_message *get() const noexcept
    {
        return handle_.get();
    }

  private:
    detail::owner<sl_message, sl_message_destroy> handle_;
};

} // namespace streamlayer

#endif
