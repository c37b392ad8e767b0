/* The headers for C++, on the shared platform: cpp_test CASE CONNECTOR. */
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <map>
#include <mutex>
#include <streamlayer/streamlayer.hpp>

namespace sl = streamlayer;
using sl::milliseconds;

#define CHECK(condition)                                                                                     \
    do {                                                                                                     \
        if (!(condition)) {                                                                                  \
            std::fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition);                     \
            std::exit(1);                                                                                    \
        }                                                                                                    \
    } while (0)

#define CASE(name)                                                                                           \
    static void name();                                                                                      \
    static const bool name##_listed = cases().emplace(#name, name).second;                                   \
    static void name()

static std::map<std::string, void (*)()> &cases()
{
    static std::map<std::string, void (*)()> all;
    return all;
}

static std::string connector;
static const milliseconds patience{30000};

/* Handles have one owner. */
template <typename Handle>
constexpr bool only_moves =
    std::is_nothrow_move_constructible_v<Handle> && !std::is_copy_constructible_v<Handle>;
static_assert(only_moves<sl::config> && only_moves<sl::message> && only_moves<sl::batch>);
static_assert(only_moves<sl::client> && only_moves<sl::producer> && only_moves<sl::consumer>);

/* What would be gone before it is sent does not compile. */
template <typename Text, typename = void> constexpr bool takes = false;
template <typename Text>
constexpr bool
    takes<Text, std::void_t<decltype(std::declval<sl::message &>().payload(std::declval<Text>()))>> = true;
static_assert(takes<const char *> && takes<std::string_view> && takes<std::string &>);
static_assert(takes<const std::string &> && !takes<std::string>);

static std::string platform_value(const std::string &name)
{
    std::ifstream file(std::string(std::getenv("STREAMLAYER_TEST_PLATFORM")) + "/env");
    for (std::string line; std::getline(file, line);)
        if (line.rfind(name + "=", 0) == 0)
            return line.substr(name.size() + 1);
    std::fprintf(stderr, "the platform is not running\n");
    std::exit(1);
}

static sl::config settings()
{
    sl::config loaded;
    loaded.load(platform_value("CONFIG"));
    return loaded;
}

/* A client, and a layer of its own of one Kafka partition. */
struct place {
    sl::client client{settings()};
    std::string id, hrn;

    place()
    {
        sl_catalog *made = nullptr;
        id = "cpp-" + std::to_string(std::chrono::system_clock::now().time_since_epoch().count()) + "-" +
             connector;
        sl::detail::call(sl_catalog_create, client.get(), id.c_str(), static_cast<const char *>(nullptr),
                         &made);
        hrn = sl_catalog_hrn(made);
        sl_catalog_destroy(&made);
        sl_layer_spec spec = {};
        spec.struct_size = sizeof spec;
        spec.id = "cars";
        spec.content_type = "text/plain";
        spec.parallelization = 1;
        sl::detail::call(sl_layer_create, client.get(), hrn.c_str(),
                         static_cast<const sl_layer_spec *>(&spec));
    }

    sl::producer producer(sl::producer_options options = {})
    {
        options.connector = connector;
        return {client, hrn, "cars", std::move(options)};
    }

    sl::consumer consumer(sl::consumer_options options = {})
    {
        options.connector = connector;
        options.start = SL_START_BEGIN;
        return {client, hrn, "cars", std::move(options)};
    }
};

static void send(sl::producer &to, const std::string &payload)
{
    sl::message message;
    to.send(message.partition_id("car-7").payload(payload).trace_id(payload.size() < 9 ? payload.c_str()
                                                                                       : nullptr));
}

/* The payloads of so many messages; what they came in is committed. */
static std::vector<std::string> receive(sl::consumer &from, std::size_t count)
{
    std::vector<std::string> all;
    while (all.size() < count) {
        sl::batch batch = from.poll(patience);
        CHECK(!batch.empty());
        for (sl::message_view message : batch)
            all.emplace_back(message.payload().value());
        from.commit(batch);
    }
    return all;
}

template <typename Function> static sl::error thrown(const char *what, Function function)
{
    try {
        function();
    } catch (const sl::error &error) {
        return error;
    }
    std::fprintf(stderr, "nothing was thrown: %s\n", what);
    std::exit(1);
}

CASE(every_part_of_a_message_arrives)
{
    place here;
    sl::producer producer = here.producer();
    CHECK(producer.connector() == connector);
    const auto now = std::chrono::time_point_cast<milliseconds>(std::chrono::system_clock::now());
    const std::string payload("a\0b", 3);
    sl::message message;
    message.partition_id("car-7")
        .payload(payload)
        .timestamp(now)
        .trace_id("trace-1")
        .crc("0f")
        .add_header("kind", "position")
        .add_header("kind", "");
    producer.send(message);
    message.clear().partition_id("car-7").payload("");
    producer.send(message);
    producer.flush(patience);

    sl::consumer consumer = here.consumer();
    CHECK(consumer.connector() == connector && consumer.group());
    sl::batch batch = consumer.poll(patience, 1);
    CHECK(batch.size() == 1);
    sl::message_view got = batch[0];
    CHECK(got.partition_id() == "car-7" && got.payload() == payload && got.timestamp() == now);
    CHECK(got.trace_id() == "trace-1" && got.crc() == "0f" && !got.data_handle());
    CHECK(got.offset().partition == 0 && got.offset().offset == 0);
    std::vector<sl::header> headers = got.headers();
    CHECK(headers.size() == 2 && headers[0].name == "kind" && headers[0].value == "position");
    CHECK(headers[1].name == "kind" && headers[1].value == "");
    sl::batch next = consumer.poll(patience, 1);
    CHECK(next.size() == 1 && next[0].payload() == "" && next[0].headers().empty());
    consumer.close();
    CHECK(batch[0].payload() == payload); /* a batch outlives its consumer */
}

CASE(errors_are_thrown_and_say_why)
{
    place here;
    sl::error missing =
        thrown("a layer that is not there", [&] { sl::consumer(here.client, here.hrn, "boats"); });
    CHECK(missing.status() == SL_NOT_FOUND && missing.http_status() == 404 && !missing.retriable());
    CHECK(std::string(missing.what()).find("boats") != std::string::npos);
    sl::error wrong = thrown("text that is no HOCON", [] { sl::config().parse("a = {", "mine.conf"); });
    CHECK(wrong.status() == SL_BAD_CONFIG && std::string(wrong.what()).find("mine.conf:1") == 0);
    std::string id(SL_PARTITION_ID_MAX + 1, 'x');
    sl::error bad = thrown("a long partition id", [&] { sl::message().partition_id(id); });
    CHECK(std::string(bad.what()) == sl_status_text(bad.status()));
    sl::consumer consumer = here.consumer();
    CHECK(consumer.poll(milliseconds(0)).empty()); /* no message is no error */
}

CASE(deliveries_are_told_to_a_function)
{
    place here;
    std::mutex lock;
    std::vector<std::int64_t> offsets;
    sl::producer_options options;
    options.delivered = [&](const sl::delivery &report) {
        std::lock_guard<std::mutex> held(lock);
        CHECK(report.delivered() && report.text().empty() && report.trace_id()->size() == 3);
        offsets.push_back(report.offset().offset);
    };
    sl::producer first = here.producer(options);
    send(first, "one");
    sl::producer moved = std::move(first); /* reports go on to the same function */
    send(moved, "two");
    moved.close();
    CHECK((offsets == std::vector<std::int64_t>{0, 1}));
}

CASE(handles_may_be_moved_and_outlive_their_client)
{
    place here;
    std::optional<sl::client> client(std::in_place, settings(), [](sl_log_level, const char *) {});
    sl::producer_options options;
    options.connector = connector;
    sl::producer producer(*client, here.hrn, "cars", options);
    send(producer, "one");
    producer =
        sl::producer(*client, here.hrn, "cars", options); /* the first is closed: its message is delivered */
    client.reset();
    send(producer, "two");
    producer.close();
    sl::consumer consumer = here.consumer();
    CHECK((receive(consumer, 2) == std::vector<std::string>{"one", "two"}));
}

CASE(a_consumer_commits_seeks_and_pauses)
{
    place here;
    std::vector<sl_rebalance> told;
    sl::consumer_options options;
    options.group = here.id; /* groups are the application's, whatever the catalog */
    options.commit = milliseconds(0);
    options.rebalanced = [&](sl_rebalance what, const std::vector<std::int32_t> &partitions) {
        CHECK(partitions == std::vector<std::int32_t>{0});
        told.push_back(what);
    };
    sl::producer producer = here.producer();
    for (const char *payload : {"one", "two", "three"})
        send(producer, payload);
    producer.flush(patience);
    sl::consumer consumer = here.consumer(options);
    CHECK(receive(consumer, 3).size() == 3);
    std::vector<sl_partition_position> positions = consumer.positions();
    CHECK(positions.size() == 1 && positions[0].committed == 3 && positions[0].lag == 0);
    consumer.seek({{0, 1}});
    CHECK(receive(consumer, 2).front() == "two");
    consumer.seek(std::chrono::system_clock::time_point(milliseconds(1)));
    consumer.pause();
    CHECK(consumer.positions()[0].paused);
    consumer.resume({0});
    CHECK(receive(consumer, 3).front() == "one");
    consumer.seek(SL_START_END);
    consumer.commit(std::vector<sl_offset>{{0, 0}});
    consumer.close();
    CHECK(!told.empty() && told.front() == SL_ASSIGNED && told.back() == SL_REVOKED);
    sl::consumer second = here.consumer(options);
    CHECK(receive(second, 2).front() == "two");
}

CASE(large_payloads_are_fetched)
{
    place here;
    const std::string large(SL_PAYLOAD_INLINE_MAX + 1, 'x');
    sl::producer producer = here.producer();
    send(producer, large);
    producer.flush(patience);
    sl::consumer_options options;
    options.resolve = false;
    sl::consumer consumer = here.consumer(options);
    sl::batch batch = consumer.poll(patience);
    CHECK(batch.size() == 1 && !batch[0].payload() && batch[0].data_handle());
    CHECK(consumer.resolve(batch[0]) == large);
}

CASE(handles_of_the_c_api_are_taken_over)
{
    place here;
    sl_config *own = nullptr;
    sl::detail::call(sl_config_create, &own);
    sl::config taken(own);
    taken.load(platform_value("CONFIG"));
    CHECK(taken.get() == own);
    sl_client *client = nullptr;
    sl::detail::call(sl_client_create, static_cast<const sl_config *>(own), sl_log_callback(),
                     static_cast<void *>(nullptr), &client);
    std::optional<sl::client> kept(std::in_place, client);
    CHECK(!kept->log() && kept->get() == client);
    sl_producer *writes = nullptr;
    sl::detail::call(sl_producer_create, client, here.hrn.c_str(), "cars",
                     static_cast<const sl_producer_options *>(nullptr), &writes);
    sl::producer producer(writes);
    sl_message *made = nullptr;
    sl::detail::check(sl_message_create(&made));
    sl::message message(made);
    producer.send(message.payload("one"));
    producer.close();
    sl::producer_options options;
    options.connector = connector;
    sl::producer second(*kept, here.hrn, "cars", options); /* of a client that was taken over */
    send(second, "two");
    second = sl::producer(nullptr);
    sl_consumer_options *start = nullptr;
    sl::detail::check(sl_consumer_options_create(&start));
    sl::detail::check(sl_consumer_options_set_start(start, SL_START_BEGIN));
    sl_consumer *reads = nullptr;
    sl::detail::call(sl_consumer_create, client, here.hrn.c_str(), "cars",
                     static_cast<const sl_consumer_options *>(start), &reads);
    sl_consumer_options_destroy(&start);
    sl::consumer consumer(reads);
    kept.reset();
    CHECK((receive(consumer, 2) == std::vector<std::string>{"one", "two"}));
    consumer.close();
}

CASE(transactions_are_seen_whole_or_not_at_all)
{
    place here;
    sl::producer_options options;
    options.transactions = here.id;
    if (connector != "kafka-connector") {
        sl::error error = thrown("transactions over HTTP", [&] { here.producer(options); });
        CHECK(error.status() == SL_UNSUPPORTED);
        return;
    }
    sl::producer plain = here.producer();
    for (const char *payload : {"one", "two", "three"})
        send(plain, payload);
    plain.close();
    sl::consumer_options read;
    read.group = here.id;
    read.commit = milliseconds(0);
    sl::consumer consumer = here.consumer(read);
    sl::producer producer = here.producer(options);
    CHECK(thrown("a commit of nothing", [&] { producer.commit(); }).status() == SL_INVALID_ARGUMENT);
    sl::batch first = consumer.poll(patience, 1);
    CHECK(first.size() == 1);
    producer.begin();
    send(producer, "undone");
    producer.add_batch(consumer, first, patience);
    producer.abort(patience);
    CHECK(consumer.positions()[0].committed <= 0);
    producer.begin();
    send(producer, "ONE");
    producer.add_batch(consumer, sl::batch(), patience);
    producer.add_batch(consumer, first, patience);
    producer.commit(patience);
    CHECK(consumer.positions()[0].committed == 1);
    producer.begin();
    send(producer, "TWO");
    producer.add_offsets(consumer, {{0, 1}}, patience);
    producer.commit(patience);
    CHECK(consumer.positions()[0].committed == 2);
    consumer.close();
    sl::consumer_options look;
    look.group = here.id + "-look";
    sl::consumer all = here.consumer(look);
    CHECK((receive(all, 5) == std::vector<std::string>{"one", "two", "three", "ONE", "TWO"}));
}

int main(int count, char **words)
{
    if (count != 3 || !cases().count(words[1])) {
        std::fprintf(stderr, "usage: cpp_test CASE CONNECTOR\n");
        return 2;
    }
    connector = words[2];
    try {
        cases()[words[1]]();
    } catch (const std::exception &error) {
        std::fprintf(stderr, "%s\n", error.what());
        return 1;
    }
    return 0;
}
