/* Settings, for C++. streamlayer.hpp tells of all of them. */
#ifndef STREAMLAYER_CONFIG_HPP
#define STREAMLAYER_CONFIG_HPP

#include <streamlayer/config.h>
#include <streamlayer/error.hpp>

namespace streamlayer
{

/* Settings (sl_config). */
class config
{
  public:
    /* The built-in defaults; load() lays the usual places over them. */
    config()
    {
        sl_config *made = nullptr;
        detail::call(sl_config_create, &made);
        handle_.reset(made);
    }

    /* Takes settings of the C API's over. */
    explicit config(sl_config *owned) noexcept : handle_(owned)
    {
    }

    /* Lays the usual places over it, then file; without a name, the one that sl_config_load would find. */
    config &load(const std::string &file = {})
    {
        detail::call(sl_config_load, get(), detail::or_null(file));
        return *this;
    }

    /* Lays HOCON text over it; origin names it in errors. */
    config &parse(std::string_view text, const std::string &origin = "program")
    {
        detail::call(sl_config_parse, get(), text.data(), text.size(), origin.c_str());
        return *this;
    }

    /* Sets one value over all that was loaded. */
    config &set(const std::string &path, const std::string &value)
    {
        detail::call(sl_config_set, get(), path.c_str(), value.c_str());
        return *this;
    }

    /* The value at path as text; nothing where there is none. It lives until the configuration is changed. */
    std::optional<std::string_view> value(const std::string &path) const
    {
        return detail::view(sl_config_get(get(), path.c_str()));
    }

    /* The C API's handle, still this object's. */
    sl_config *get() const noexcept
    {
        return handle_.get();
    }

  private:
    detail::owner<sl_config, sl_config_destroy> handle_;
};

} // namespace streamlayer

#endif
