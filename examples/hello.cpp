// hello.c in C++: handles release themselves, errors are thrown.
#include <iostream>
#include <streamlayer/streamlayer.hpp>

int main(int argc, char **argv)
try {
    if (argc != 3)
        throw std::invalid_argument("usage: hello HRN LAYER");
    streamlayer::client client;
    streamlayer::consumer consumer(client, argv[1], argv[2]);
    streamlayer::producer producer(client, argv[1], argv[2]);
    streamlayer::message message;
    producer.send(message.partition_id("car-7").payload("52.52,13.40"));
    producer.flush();
    streamlayer::batch batch = consumer.poll(std::chrono::seconds(30), 1);
    if (batch.empty()) // producer_options::delivered would tell whether it arrived
        throw std::runtime_error(
            "nothing was received within 30 s: the message was not delivered, or another "
            "member of the group has it");
    for (streamlayer::message_view received : batch)
        std::cout << received.payload().value_or("") << '\n';
    consumer.commit(batch);
    return 0;
} catch (const std::exception &error) {
    std::cerr << error.what() << '\n';
    return 1;
}
