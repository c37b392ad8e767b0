/* One application's connection to a platform, for C++. streamlayer.hpp tells of all of them. */
#ifndef STREAMLAYER_CLIENT_HPP
#define STREAMLAYER_CLIENT_HPP

#include <cstdint>
#include <streamlayer/client.h>
#include <streamlayer/config.hpp>
#include <streamlayer/log.h>
#include <utility>

namespace streamlayer
{

/* Receives one line of log. It may be called from several threads at once. */
using log_function = std::function<void(sl_log_level, const char *)>;

/* One application's connection to a platform (sl_client). */
class client
{
  public:
    /* With settings from the usual places. */
    explicit client(log_function log = {})
    {
        open(nullptr, std::move(log));
    }

    /* With these settings, which are copied. */
    explicit client(const config &settings, log_function log = {})
    {
        open(settings.get(), std::move(log));
    }

    /* Takes a client of the C API's over. What its log callback uses must stay as long as the client and the
     * producers and consumers made of it. */
    explicit client(sl_client *owned) noexcept : handle_(owned)
    {
    }

    /* A bearer token for the platform's HTTP API. */
    std::string token() const
    {
        char *text = nullptr;
        detail::call(sl_client_token, get(), &text, static_cast<std::int64_t *>(nullptr));
        return detail::take(text);
    }

    /* The C API's handle, still this object's. */
    sl_client *get() const noexcept
    {
        return handle_.get();
    }

    /* What producers and consumers keep, since they may outlive the client. */
    std::shared_ptr<log_function> log() const noexcept
    {
        return log_;
    }

  private:
    void open(const sl_config *settings, log_function log)
    {
        sl_client *made = nullptr;
        sl_log_callback callback = nullptr;
        log_ = std::make_shared<log_function>(std::move(log));
        if (*log_)
            callback = [](void *opaque, sl_log_level level, const char *text) noexcept {
                (*static_cast<log_function *>(opaque))(level, text);
            };
        detail::call(sl_client_create, settings, callback, static_cast<void *>(log_.get()), &made);
        handle_ = {made, releaser{log_}};
    }

    /* It keeps what the library may call until the handle is gone. */
    struct releaser {
        std::shared_ptr<log_function> kept;
        void operator()(sl_client *handle) const noexcept
        {
            sl_client_destroy(&handle);
        }
    };

    std::shared_ptr<log_function> log_;
    std::unique_ptr<sl_client, releaser> handle_;
};

} // namespace streamlayer

#endif
