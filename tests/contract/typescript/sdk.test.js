// The official HERE SDK for TypeScript, unpatched, against the gateway. Each test is a CTest entry of its own.
"use strict";

const assert = require("node:assert/strict");
const crypto = require("node:crypto");
const { test } = require("node:test");

const { platform, cli, name, makeLayer, userAuth, settings, client, requests, watchLog, receive, text, refusal } =
    require("./platform.js");
const auth = require("@here/olp-sdk-authentication");
const core = require("@here/olp-sdk-core");
const api = require("@here/olp-sdk-dataservice-api");
const read = require("@here/olp-sdk-dataservice-read");

test("signs_in", async () => {
    const token = await userAuth().getToken();
    assert.match(token, /^\S{20,}$/);
    const answer = await fetch(`${platform.URL}/lookup/v1/platform/apis`, { headers: { Authorization: `Bearer ${token}` } });
    assert.equal(answer.status, 200);
});

test("token_requests", async () => {
    const { accessKeyId: consumerKey, accessKeySecret: secretKey } = auth.loadCredentialsFromFile(platform.CREDENTIALS);
    const url = `${platform.URL}/oauth2/token`;
    const ask = more => auth.requestToken({ url, consumerKey, secretKey, ...more });
    const refused = error => core.HttpError.isHttpError(error) && error.status === 401 && error.message === "Unauthorized";

    const answer = await ask({ expiresIn: 300, scope: "hrn:here:authorization::org:project/p", nonce: name() });
    assert.equal(answer.expiresIn, 300);
    assert.equal(answer.tokenType, "bearer");
    assert.equal(answer.scope, "hrn:here:authorization::org:project/p");
    const once = { nonce: name(), timestamp: Math.floor(Date.now() / 1000) };
    await ask(once);
    await assert.rejects(ask(once), refused);
    await assert.rejects(ask({ timestamp: once.timestamp - 3600 }), refused);
    await assert.rejects(ask({ secretKey: "wrong" }), refused);
    await assert.rejects(ask({ consumerKey: "wrong" }), refused);

    const user = userAuth(platform.CREDENTIALS, { expiresIn: 600, scope: "s" });
    assert.equal(user.tokenIsValid(), false);
    const token = await user.getToken();
    assert.equal(user.tokenIsValid(), true);
    assert.equal(await user.getToken(), token); // kept until it ends
    assert.throws(() => auth.loadCredentialsFromFile(platform.CONFIG), /here\.access\.key\.id/);
});

test("tokens_that_are_none", async () => {
    for (const token of ["none", "a.b.c"]) {
        const as = new core.OlpClientSettings({ environment: platform.URL, getToken: async () => token });
        await assert.rejects(new read.ConfigClient(as).getCatalogs(), refusal(401, "unauthenticated"));
    }
});

test("serial", async t => {
    watchLog(t);
    const hrn = makeLayer(1);
    cli("one\ntwo\nthree\n", "produce", hrn, "layer", "--key", "k");
    const group = `ts-${process.pid}`;
    const subscribe = () => new read.SubscribeRequest().withMode("serial")
        .withSubscriptionProperties({ "auto.offset.reset": "earliest", "group.id": group });
    const poll = stream => () => stream.poll(new read.PollRequest().withMode("serial"));

    const first = client(hrn);
    const id = await first.subscribe(subscribe());
    assert.equal(typeof id, "string");
    const messages = await receive(poll(first), 3);
    assert.deepEqual(messages.map(text), ["one", "two", "three"]);
    assert.deepEqual(messages.map(message => message.metaData.partition), ["k", "k", "k"]);
    assert.deepEqual(messages.map(message => message.offset.offset), [0, 1, 2]);
    assert.deepEqual(await poll(first)(), []); // idle
    const sought = await first.seek(new read.SeekRequest().withMode("serial")
        .withSeekOffsets({ offsets: [{ partition: 0, offset: 1 }] }));
    assert.equal(sought.status, 200);
    assert.deepEqual((await receive(poll(first), 2)).map(text), ["two", "three"]);
    const gone = await first.unsubscribe(new read.UnsubscribeRequest().withMode("serial"));
    assert.equal(gone.status, 200);

    // Poll committed: another subscription of the group goes on behind it.
    cli("four\n", "produce", hrn, "layer");
    const second = client(hrn);
    await second.subscribe(subscribe());
    assert.deepEqual((await receive(poll(second), 1)).map(text), ["four"]);
    await second.unsubscribe(new read.UnsubscribeRequest().withMode("serial"));
});

test("parallel", async t => {
    watchLog(t);
    const hrn = makeLayer(2);
    cli(Array.from({ length: 40 }, (_, i) => `${i}`).join("\n") + "\n", "produce", hrn, "layer");
    const members = [];
    for (const consumer of ["one", "two"]) {
        const stream = client(hrn);
        const id = await stream.subscribe(new read.SubscribeRequest().withMode("parallel").withConsumerId(consumer)
            .withSubscriptionProperties({ "auto.offset.reset": "earliest", "group.id": `ts-${process.pid}` }));
        members.push({ stream, id });
    }
    assert.notEqual(members[0].id, members[1].id);
    const numbers = new Set();
    await receive(async () => {
        const fresh = [];
        for (const { stream, id } of members) {
            const batch = await stream.poll(new read.PollRequest().withMode("parallel").withSubscriptionId(id));
            fresh.push(...batch.map(text).filter(number => !numbers.has(number)));
            fresh.forEach(number => numbers.add(number));
        }
        return fresh;
    }, 40);
    assert.equal(numbers.size, 40);
    for (const { stream, id } of members) {
        const gone = await stream.unsubscribe(new read.UnsubscribeRequest().withMode("parallel").withSubscriptionId(id));
        assert.equal(gone.status, 200);
    }
});

test("subscriptions_by_id", async t => {
    watchLog(t);
    const hrn = makeLayer(1);
    cli("one\ntwo\n", "produce", hrn, "layer");
    for (const mode of ["serial", "parallel"]) {
        const stream = client(hrn), id = name();
        assert.equal(await stream.subscribe(new read.SubscribeRequest().withMode(mode).withSubscriptionId(id)
            .withSubscriptionProperties({ "auto.offset.reset": "earliest", "group.id": name() })), id);
        const poll = () => stream.poll(new read.PollRequest().withMode(mode).withSubscriptionId(id));
        const offset = (await receive(poll, 2))[1].offset;
        await stream.seek(new read.SeekRequest().withMode(mode).withSubscriptionId(id).withSeekOffsets({ offsets: [offset] }));
        assert.deepEqual((await receive(poll, 1)).map(text), ["two"]);
        await stream.unsubscribe(new read.UnsubscribeRequest().withMode(mode).withSubscriptionId(id));
        await assert.rejects(poll(), refusal(404, "no-such-subscription"));
    }
});

test("cancelled_calls", async t => {
    watchLog(t);
    const hrn = makeLayer(1);
    cli("one\n", "produce", hrn, "layer");
    // It takes Node's own AbortError for a fault of the network: without retries.
    const dm = new core.DataStoreDownloadManager(fetch, 0);
    const stream = client(hrn, new core.OlpClientSettings({ environment: platform.URL, getToken: settings().token, dm }));
    const cancelled = async call => {
        const controller = new AbortController(), outcome = call(controller.signal);
        controller.abort();
        await assert.rejects(outcome, error => error.name === "AbortError");
    };
    const serial = request => request.withMode("serial");
    const subscribe = serial(new read.SubscribeRequest())
        .withSubscriptionProperties({ "auto.offset.reset": "earliest", "group.id": name() });
    const poll = serial(new read.PollRequest()), end = serial(new read.UnsubscribeRequest());
    const seek = serial(new read.SeekRequest()).withSeekOffsets({ offsets: [{ partition: 0, offset: 0 }] });
    await cancelled(signal => stream.subscribe(subscribe, signal));
    await stream.subscribe(subscribe);
    await cancelled(signal => stream.seek(seek, signal));
    await cancelled(signal => stream.poll(poll, signal));
    await cancelled(signal => stream.unsubscribe(end, signal));
    assert.deepEqual((await receive(() => stream.poll(poll), 1)).map(text), ["one"]);
    await stream.unsubscribe(end);
});

test("refused_subscriptions", async () => {
    const hrn = makeLayer(1);
    const subscribe = properties => client(hrn).subscribe(
        new read.SubscribeRequest().withMode("serial").withSubscriptionProperties(properties));
    await assert.rejects(subscribe({ "bootstrap.servers": "elsewhere" }), refusal(400, "bad-consumer-property"));
    await assert.rejects(subscribe({ "auto.offset.reset": "somewhere" }), refusal(400, "bad-consumer-property"));
    const group = name();
    await subscribe({ "group.id": group });
    await assert.rejects(subscribe({ "group.id": group }), refusal(409, "group-full"));
});

// Everything on the layer from its begin on.
async function readAll(hrn, count) {
    const stream = client(hrn);
    await stream.subscribe(new read.SubscribeRequest().withMode("serial")
        .withSubscriptionProperties({ "auto.offset.reset": "earliest", "group.id": name() }));
    const messages = await receive(() => stream.poll(new read.PollRequest().withMode("serial")), count);
    assert.equal(messages.length, count);
    await stream.unsubscribe(new read.UnsubscribeRequest().withMode("serial"));
    return messages;
}

const bytes = async response => Buffer.from(await response.arrayBuffer());
const sha256 = data => crypto.createHash("sha256").update(data).digest("hex");

test("large_messages", async t => {
    watchLog(t);
    const hrn = makeLayer(1);
    const stream = client(hrn);
    const payloads = [crypto.randomBytes(1048577), crypto.randomBytes(20 * 1048576)];
    const ingest = await requests(hrn, "ingest", "v1");
    for (const body of payloads) {
        const answer = await ingest.requestBlob(new api.UrlBuilder(`${ingest.baseUrl}/layers/layer`),
            { method: "POST", headers: { "Content-Type": "application/octet-stream" }, body });
        assert.equal(answer.status, 200);
    }
    for (const [index, message] of (await readAll(hrn, 2)).entries()) {
        assert.equal(message.metaData.data, undefined);
        assert.equal(message.metaData.dataSize, payloads[index].length);
        const answer = await stream.getData(message);
        assert.equal(answer.status, 200);
        const body = await bytes(answer);
        assert.equal(body.length, payloads[index].length);
        assert.equal(sha256(body), sha256(payloads[index]));
        assert.equal(message.metaData.checksum, sha256(body));
    }
});

test("blobs", async () => {
    const hrn = makeLayer(1);
    const blob = await requests(hrn, "blob", "v1");
    const at = { layerId: "layer", dataHandle: "h-1" };
    const json = JSON.stringify({ text: "x".repeat(100000) }); // the SDK's call says that it is JSON, whatever it is
    const stored = await api.BlobApi.putData(blob, { ...at, body: json });
    assert.equal(stored.status, 204);
    const head = await api.BlobApi.checkBlobExistsStatus(blob, at);
    assert.equal(head.status, 200);
    const whole = await api.BlobApi.getBlob(blob, at);
    assert.equal(whole.headers.get("content-type"), "application/json");
    assert.equal((await bytes(whole)).toString(), json);
    const part = await api.BlobApi.getBlob(blob, { ...at, range: "bytes=0-7" });
    assert.equal(part.status, 206);
    assert.equal((await bytes(part)).toString(), '{"text":');
    await assert.rejects(api.BlobApi.getBlob(blob, { layerId: "layer", dataHandle: "none" }),
        refusal(404, "no-such-blob"));
    await assert.rejects(client(hrn).getData({ metaData: { partition: "k", dataHandle: "none" }, offset: {} }),
        refusal(404, "no-such-blob"));
    await assert.rejects(client(hrn).getData({ metaData: { partition: "k" }, offset: {} }), /No data handle/);
    // Clients for other kinds of layers read the blobs of stream layers, too.
    const layer = { catalogHrn: core.HRN.fromString(hrn), layerId: "layer", settings: settings() };
    const versioned = await new read.VersionedLayerClient(layer).getData(new read.DataRequest().withDataHandle("h-1"));
    assert.equal(await versioned.text(), json);
    assert.equal(await (await new read.IndexLayerClient(layer).getData({ id: "h-1" })).text(), json);
});

test("publications", async t => {
    watchLog(t);
    const hrn = makeLayer(1);
    const blob = await requests(hrn, "blob", "v1");
    await api.BlobApi.putData(blob, { layerId: "layer", dataHandle: "h-1", body: JSON.stringify({ large: true }) });
    const publish = await requests(hrn, "publish", "v2");
    const begun = await api.PublishApi.initPublication(publish, { body: { layerIds: ["layer"] } });
    assert.equal(typeof begun.id, "string");
    assert.deepEqual(begun.layerIds, ["layer"]);
    const at = { publicationId: begun.id };
    const uploaded = await api.PublishApi.uploadPartitions(publish, {
        ...at, layerId: "layer", body: {
            partitions: [{ partition: "a", data: Buffer.from("one").toString("base64") }, { partition: "b", dataHandle: "h-1" }],
        },
    });
    assert.equal(uploaded.status, 204);
    const open = await api.PublishApi.getPublication(publish, at);
    assert.equal(open.details.state, "initialized");
    const submitted = await api.PublishApi.submitPublication(publish, at);
    assert.equal(submitted.status, 204);
    const [first, second] = await readAll(hrn, 2);
    assert.equal(text(first), "one");
    assert.equal(second.metaData.dataHandle, "h-1");
    assert.deepEqual(await (await client(hrn).getData(second)).json(), { large: true });

    const other = await api.PublishApi.initPublication(publish, { body: { layerIds: ["layer"] } });
    await api.PublishApi.cancelPublication(publish, { publicationId: other.id });
    for (const call of [api.PublishApi.getPublication, api.PublishApi.submitPublication, api.PublishApi.cancelPublication])
        await assert.rejects(call(publish, { publicationId: other.id }), refusal(404, "no-such-publication"));
});

// The calls below the clients.
test("raw_calls", async () => {
    const hrn = makeLayer(1);
    cli("one\ntwo\n", "produce", hrn, "layer", "--key", "k");
    const stream = await requests(hrn, "stream", "v2");
    const endpoint = await api.StreamApi.endpoint(stream, { layerId: "layer" });
    assert.equal(typeof endpoint.topic, "string");
    for (const type of ["producer", "consumer"])
        assert.equal((await api.StreamApi.endpointByConsumer(stream, { layerId: "layer", type })).topic, endpoint.topic);
    const answer = await api.StreamApi.subscribe(stream, {
        layerId: "layer", mode: "serial",
        subscriptionProperties: { "auto.offset.reset": "earliest", "group.id": `ts-${process.pid}` },
    });
    assert.equal(answer.status, 201);
    const begun = await answer.json();
    assert.equal(typeof begun.subscriptionId, "string");
    const at = { layerId: "layer", subscriptionId: begun.subscriptionId, mode: "serial" };
    const node = new core.DataStoreRequestBuilder(stream.downloadManager, begun.nodeBaseURL, settings().token);
    const poll = async () => (await (await api.StreamApi.consumeData(node, at)).json()).messages;
    const offsets = (await receive(poll, 2)).map(message => message.offset);
    const sought = await api.StreamApi.seekToOffset(node, { ...at, seekOffsets: { offsets: [offsets[1]] } });
    assert.equal(sought.status, 200);
    assert.deepEqual((await receive(poll, 1)).map(text), ["two"]);
    const committed = await api.StreamApi.doCommitOffsets(node, { ...at, commitOffsets: { offsets: [offsets[1]] } });
    assert.equal(committed.status, 200);
    const gone = await api.StreamApi.deleteSubscription(node, at);
    assert.equal(gone.status, 200);
});

// The calls for writing are those of the API: the SDK has no client for it.
test("ingest", async t => {
    watchLog(t);
    const hrn = makeLayer(1);
    const ingest = await requests(hrn, "ingest", "v1");
    const post = (body, headers) => ingest.request(new api.UrlBuilder(`${ingest.baseUrl}/layers/layer`),
        { method: "POST", headers: { "Content-Type": "application/octet-stream", ...headers }, body });
    const sent = await post("one", { "X-HERE-TraceId": "trace", "X-HERE-Message-Key": "a%C3%A4", "X-HERE-Checksum": sha256("one") });
    assert.deepEqual(sent, { TraceID: "trace" });
    assert.match((await post("")).TraceID, /^[0-9a-f]{32}$/);
    await assert.rejects(post("one", { "X-HERE-Checksum": sha256("two") }), refusal(400, "checksum-mismatch"));
    await assert.rejects(post("one", { "Content-Type": "text/plain" }), refusal(415, "wrong-content-type"));
    const [one, empty] = await readAll(hrn, 2);
    assert.equal(text(one), "one");
    assert.equal(one.metaData.partition, "a\u00e4");
    assert.equal(one.metaData.checksum, sha256("one"));
    assert.equal(text(empty), "");
});

test("unknown_layer", async () => {
    const hrn = makeLayer(1);
    const stream = new read.StreamLayerClient({ catalogHrn: core.HRN.fromString(hrn), layerId: "no-such-layer", settings: settings() });
    await assert.rejects(stream.subscribe(new read.SubscribeRequest().withMode("serial")),
        refusal(404, "no-such-layer"));
});
