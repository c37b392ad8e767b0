"""streamlayer in Python: the C library through ctypes, nothing to build and nothing else to install.

    with streamlayer.Client() as client:
        with client.producer(hrn, layer) as producer:
            sent = producer.send(b"52.52,13.40", partition_id="car-7")
            print(sent.result().offset)  # waits until it is delivered
        with client.consumer(hrn, layer, group="fleet") as consumer:
            for message in consumer.poll(timeout_ms=1000):
                print(message.partition_id, message.payload)
            consumer.commit()

It shows how a binding is made: one function of the C API a method, a status that is not SL_OK an exception, handles released by
`with`. What is not here is reached the same way. The whole API is described in its headers (streamlayer/*.h). ctypes lets other
threads run while a call waits.
"""
import collections
import concurrent.futures
import ctypes
import itertools

Message = collections.namedtuple("Message", "partition_id payload timestamp_ms headers partition offset")
Delivery = collections.namedtuple("Delivery", "partition offset")  # where a message lies; -1: the platform does not say


class _Offset(ctypes.Structure):  # sl_offset
    _fields_ = [("partition", ctypes.c_int32), ("offset", ctypes.c_int64)]


class _Error(ctypes.Structure):  # sl_error
    _fields_ = [("status", ctypes.c_int), ("retriable", ctypes.c_bool), ("fatal", ctypes.c_bool),
                ("http_status", ctypes.c_int), ("text", ctypes.c_char * 1000)]


_Report = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p)  # sl_delivery_callback


class Error(Exception):
    """What a call failed with; str() of it says what happened, where, and how to mend it."""

    def __init__(self, status, error):
        super().__init__(error.text.decode() or _library.sl_status_text(status).decode())
        self.status, self.retriable, self.fatal = status, error.retriable, error.fatal
        self.http_status = error.http_status


def _load():
    """libstreamlayer.so.1: the number is the ABI's, which this file is written for."""
    try:
        library = ctypes.CDLL("libstreamlayer.so.1")
    except OSError as error:
        raise ImportError(f"{error}; install the package libstreamlayer1, or name in LD_LIBRARY_PATH the directory that has it "
                          "(build/release/lib)") from None
    pointer, text, size, status = ctypes.c_void_p, ctypes.c_char_p, ctypes.c_size_t, ctypes.c_int
    place = ctypes.POINTER(ctypes.c_void_p)  # where a function puts a handle, or whose handle it releases
    error, length = ctypes.POINTER(_Error), ctypes.POINTER(ctypes.c_size_t)
    for name, result, *arguments in (
            ("status_text", text, status),
            ("version", text),
            ("config_create", status, place, error),
            ("config_load", status, pointer, text, error),
            ("config_set", status, pointer, text, text, error),
            ("config_destroy", None, place),
            ("client_create", status, pointer, pointer, pointer, place, error),
            ("client_destroy", None, place),
            ("message_create", status, place),
            ("message_clear", None, pointer),
            ("message_set_partition_id", status, pointer, pointer, size),
            ("message_set_payload", status, pointer, pointer, size),
            ("message_add_header", status, pointer, text, pointer, size),
            ("message_destroy", None, place),
            ("message_partition_id", pointer, pointer, length),
            ("message_payload", pointer, pointer, length),
            ("message_timestamp_ms", ctypes.c_int64, pointer),
            ("message_offset", _Offset, pointer),
            ("message_header_count", size, pointer),
            ("message_header_at", ctypes.c_bool, pointer, size, ctypes.POINTER(text), place, length),
            ("producer_options_create", status, place),
            ("producer_options_set_delivery", status, pointer, _Report, pointer),
            ("producer_options_destroy", None, place),
            ("delivery_status", status, pointer),
            ("delivery_error", error, pointer),
            ("delivery_offset", _Offset, pointer),
            ("producer_create", status, pointer, text, text, pointer, place, error),
            ("producer_send", status, pointer, pointer, pointer, ctypes.c_int, error),
            ("producer_flush", status, pointer, ctypes.c_int, error),
            ("producer_connector", text, pointer),
            ("producer_close", status, place, ctypes.c_int, error),
            ("consumer_options_create", status, place),
            ("consumer_options_set_group", status, pointer, text),
            ("consumer_options_set_start", status, pointer, ctypes.c_int),
            ("consumer_options_destroy", None, place),
            ("consumer_create", status, pointer, text, text, pointer, place, error),
            ("consumer_poll", status, pointer, ctypes.c_int, size, place, error),
            ("consumer_commit", status, pointer, pointer, error),
            ("consumer_connector", text, pointer),
            ("consumer_close", status, place, error),
            ("batch_count", size, pointer),
            ("batch_message", pointer, pointer, size),
            ("batch_destroy", None, place)):
        function = getattr(library, "sl_" + name)
        function.restype, function.argtypes = result, arguments
    return library


_library = _load()


def version():
    """The library's version."""
    return _library.sl_version().decode()


def _call(function, *arguments):
    """Calls a function that takes an error object as its last argument."""
    error = _Error()
    status = function(*arguments, ctypes.byref(error))
    if status:
        raise Error(status, error)


def _check(status):
    """For functions that only return a status."""
    if status:
        raise Error(status, _Error())


def _bytes(address, size):
    return None if address is None else ctypes.string_at(address, size.value)


class _Handle:
    """A handle of the library's; `with` closes it."""

    def __init__(self):
        self._handle = ctypes.c_void_p()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        raise NotImplementedError


class Client(_Handle):
    """One application's connection to a platform.

    config: a file; without one, the usual places. settings: single ones, which win over files.
    """

    def __init__(self, config=None, settings=None):
        super().__init__()
        own = ctypes.c_void_p()
        _call(_library.sl_config_create, ctypes.byref(own))
        try:
            _call(_library.sl_config_load, own, config.encode() if config else None)
            for path, value in (settings or {}).items():
                _call(_library.sl_config_set, own, path.encode(), value.encode())
            _call(_library.sl_client_create, own, None, None, ctypes.byref(self._handle))
        finally:
            _library.sl_config_destroy(ctypes.byref(own))  # it was copied

    def producer(self, hrn, layer):
        return Producer(self, hrn, layer)

    def consumer(self, hrn, layer, group=None, from_begin=False):
        return Consumer(self, hrn, layer, group, from_begin)

    def close(self):
        _library.sl_client_destroy(ctypes.byref(self._handle))


# What the library may call: kept here until its producer is closed, also where nobody keeps the producer.
_reports = {}


def _report_to(waiting):
    """Tells futures, which wait by the number that was sent with the message, what became of it. Threads: the library's."""
    def report(_, number, delivery):
        future, status = waiting.pop(number), _library.sl_delivery_status(delivery)
        if status:
            future.set_exception(Error(status, _library.sl_delivery_error(delivery).contents))
        else:
            where = _library.sl_delivery_offset(delivery)
            future.set_result(Delivery(where.partition, where.offset))
    return _Report(report)


class Producer(_Handle):
    """Writes one layer; one thread at a time sends. Closing it waits up to 30 s for deliveries, and says what was left."""

    def __init__(self, client, hrn, layer):
        super().__init__()
        self._message, self._waiting, self._numbers = ctypes.c_void_p(), {}, itertools.count(1)
        self._report = _report_to(self._waiting)
        options = ctypes.c_void_p()
        _check(_library.sl_message_create(ctypes.byref(self._message)))
        try:
            _check(_library.sl_producer_options_create(ctypes.byref(options)))
            _check(_library.sl_producer_options_set_delivery(options, self._report, None))
            _call(_library.sl_producer_create, client._handle, hrn.encode(), layer.encode(), options,
                  ctypes.byref(self._handle))
            _reports[id(self._report)] = self._report
        except BaseException:
            _library.sl_message_destroy(ctypes.byref(self._message))
            raise
        finally:
            _library.sl_producer_options_destroy(ctypes.byref(options))

    @property
    def connector(self):
        return _library.sl_producer_connector(self._handle).decode()

    def send(self, payload, partition_id=None, headers=(), timeout_ms=-1):
        """Queues one message: payload and the headers' values are bytes. Waits where the queue is full.

        Returns a future of its Delivery: result() waits until the platform has the message, and raises the Error where it was
        not delivered. What add_done_callback is given runs on a thread of the library's: it must not block, flush or close.
        """
        message = self._message
        # The library borrows what it is given until it was sent: these names keep it.
        key = None if partition_id is None else partition_id.encode()
        named = [(name.encode(), value) for name, value in headers]
        _library.sl_message_clear(message)
        if key is not None:
            _check(_library.sl_message_set_partition_id(message, key, len(key)))
        _check(_library.sl_message_set_payload(message, payload, len(payload)))
        for name, value in named:
            _check(_library.sl_message_add_header(message, name, value, len(value)))
        number, future = next(self._numbers), concurrent.futures.Future()
        future.set_running_or_notify_cancel()  # what is sent cannot be cancelled
        self._waiting[number] = future
        try:
            _call(_library.sl_producer_send, self._handle, message, number, timeout_ms)
        except BaseException:
            del self._waiting[number]  # what is refused here is not reported
            raise
        return future

    def flush(self, timeout_ms=-1):
        """Waits until every message sent before is reported; whether it has arrived is what its future says."""
        _call(_library.sl_producer_flush, self._handle, timeout_ms)

    def close(self):
        _library.sl_message_destroy(ctypes.byref(self._message))
        try:
            _call(_library.sl_producer_close, ctypes.byref(self._handle), 30000)
        finally:
            _reports.pop(id(self._report), None)


class Consumer(_Handle):
    """Reads one layer. from_begin: a group without a committed offset begins at the oldest message."""

    def __init__(self, client, hrn, layer, group, from_begin):
        super().__init__()
        self._batch = ctypes.c_void_p()
        options = ctypes.c_void_p()
        _check(_library.sl_consumer_options_create(ctypes.byref(options)))
        try:
            if group:
                _check(_library.sl_consumer_options_set_group(options, group.encode()))
            if from_begin:
                _check(_library.sl_consumer_options_set_start(options, 1))  # SL_START_BEGIN
            _call(_library.sl_consumer_create, client._handle, hrn.encode(), layer.encode(), options,
                  ctypes.byref(self._handle))
        finally:
            _library.sl_consumer_options_destroy(ctypes.byref(options))

    @property
    def connector(self):
        return _library.sl_consumer_connector(self._handle).decode()

    def poll(self, timeout_ms=1000, max_messages=0):
        """A list of messages, empty when the time passed without one."""
        _library.sl_batch_destroy(ctypes.byref(self._batch))
        _call(_library.sl_consumer_poll, self._handle, timeout_ms, max_messages, ctypes.byref(self._batch))
        count = _library.sl_batch_count(self._batch)
        return [self._read(_library.sl_batch_message(self._batch, index)) for index in range(count)]

    def commit(self):
        """Commits what the last poll has returned."""
        if self._batch:
            _call(_library.sl_consumer_commit, self._handle, self._batch)

    @staticmethod
    def _read(message):
        size, name, value = ctypes.c_size_t(), ctypes.c_char_p(), ctypes.c_void_p()
        key = _bytes(_library.sl_message_partition_id(message, ctypes.byref(size)), size)
        payload = _bytes(_library.sl_message_payload(message, ctypes.byref(size)), size)
        headers = []
        for index in range(_library.sl_message_header_count(message)):
            _library.sl_message_header_at(message, index, ctypes.byref(name), ctypes.byref(value), ctypes.byref(size))
            headers.append((name.value.decode(), _bytes(value.value, size)))
        where = _library.sl_message_offset(message)
        # A foreign message's key need not be text.
        return Message(key if key is None else key.decode(errors="surrogateescape"), payload,
                       _library.sl_message_timestamp_ms(message), headers, where.partition, where.offset)

    def close(self):
        _library.sl_batch_destroy(ctypes.byref(self._batch))
        _call(_library.sl_consumer_close, ctypes.byref(self._handle))
