/*
 * The library for C++17: handles that release themselves and can be moved but not copied, errors that are
 * thrown. Header only: a thin layer over the C API, which its comments describe in full; get() of each handle
 * gives it to any function of that API, and each takes over a handle that the C API has made
 * (`streamlayer::batch(made)`).
 *
 * Every function throws streamlayer::error where the C function fails, unless it is noexcept.
 *
 * Threads: as the C API says of each handle. Callbacks run on threads of the library's (a rebalance's, within
 * the consumer's own calls); an exception that leaves one ends the program (std::terminate), because it would
 * have to pass through C.
 */
#ifndef STREAMLAYER_STREAMLAYER_HPP
#define STREAMLAYER_STREAMLAYER_HPP

#include <streamlayer/client.hpp>
#include <streamlayer/config.hpp>
#include <streamlayer/consumer.hpp>
#include <streamlayer/error.hpp>
#include <streamlayer/message.hpp>
#include <streamlayer/producer.hpp>
#include <streamlayer/streamlayer.h>

#endif
