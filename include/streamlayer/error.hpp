/* The error that calls throw, and what the other headers share. streamlayer.hpp tells of all of them. */
#ifndef STREAMLAYER_ERROR_HPP
#define STREAMLAYER_ERROR_HPP

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <functional>
#include <limits>
#include <memory>
#include <optional>
#include <stdexcept>
#include <streamlayer/config.h>
#include <streamlayer/error.h>
#include <string>
#include <string_view>

namespace streamlayer
{

/* How long a call may wait. */
using milliseconds = std::chrono::milliseconds;

/* Waits for as long as it takes. */
inline constexpr milliseconds forever{-1};

/* What a call throws: the C API's error object. what() is its text. */
class error : public std::runtime_error
{
  public:
    /* Of a function that fills no error object the text is the status' name. */
    explicit error(sl_status status, const sl_error &said = {})
        : std::runtime_error(said.text[0] ? said.text : sl_status_text(status)), status_(status),
          retriable_(said.retriable), fatal_(said.fatal), http_status_(said.http_status)
    {
    }

    /* What it is. */
    sl_status status() const noexcept
    {
        return status_;
    }

    /* The same call may succeed later. */
    bool retriable() const noexcept
    {
        return retriable_;
    }

    /* The handle will not work again. */
    bool fatal() const noexcept
    {
        return fatal_;
    }

    /* What the platform answered, or 0. */
    int http_status() const noexcept
    {
        return http_status_;
    }

  private:
    sl_status status_;
    bool retriable_, fatal_;
    int http_status_;
};

/* Not for direct use. */
namespace detail
{

inline void check(sl_status status)
{
    if (status != SL_OK)
        throw error(status);
}

/* Calls a function of the C API whose last parameter is the error object. */
template <typename Function, typename... Arguments> void call(Function function, Arguments... arguments)
{
    sl_error said; /* of which a success fills nothing */
    said.text[0] = '\0';
    said.retriable = said.fatal = false;
    said.http_status = 0;
    if (sl_status status = function(arguments..., &said); status != SL_OK)
        throw error(status, said);
}

inline int to_int(milliseconds time) noexcept
{
    return static_cast<int>(std::clamp<milliseconds::rep>(time.count(), -1, std::numeric_limits<int>::max()));
}

template <typename Handle, void (*destroy)(Handle **)> struct releaser {
    void operator()(Handle *handle) const noexcept
    {
        destroy(&handle);
    }
};

/* A handle that is released by a function which takes its address. */
template <typename Handle, void (*destroy)(Handle **)>
using owner = std::unique_ptr<Handle, releaser<Handle, destroy>>;

/* Text of the library's that is released with sl_free. */
inline std::string take(char *text, std::size_t size)
{
    std::unique_ptr<char, void (*)(void *)> owned(text, sl_free);
    return std::string(text, size);
}

inline std::string take(char *text)
{
    return take(text, std::char_traits<char>::length(text));
}

inline std::optional<std::string_view> view(const char *text)
{
    return text ? std::optional<std::string_view>(text) : std::nullopt;
}

inline const char *or_null(const std::string &text)
{
    return text.empty() ? nullptr : text.c_str();
}

} // namespace detail

} // namespace streamlayer

#endif
