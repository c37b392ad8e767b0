// The official HERE SDK for TypeScript, unpatched, against the gateway. Each test is a CTest entry of its own.
"use strict";

const assert = require("node:assert/strict");
const { execFileSync } = require("node:child_process");
const crypto = require("node:crypto");
const fs = require("node:fs");
const { test } = require("node:test");

require("@here/olp-sdk-fetch");
const auth = require("@here/olp-sdk-authentication");
const core = require("@here/olp-sdk-core");
const api = require("@here/olp-sdk-dataservice-api");
const read = require("@here/olp-sdk-dataservice-read");

const platform = Object.fromEntries(
    fs.readFileSync(`${process.env.STREAMLAYER_TEST_PLATFORM}/env`, "utf8")
        .trim().split("\n").map(line => [line.slice(0, line.indexOf("=")), line.slice(line.indexOf("=") + 1)]));

function cli(input, ...args) {
    return execFileSync(`${platform.BIN}/streamlayer`, ["--config", platform.CONFIG, ...args], { input }).toString().trim();
}

let made = 0;
function makeLayer(partitions) {
    const hrn = cli("", "catalog", "create", `ts-${process.pid}-${Date.now() % 1e9}-${made++}`).split("\n").pop();
    cli("", "layer", "create", hrn, "layer", "--content-type", "application/octet-stream", "--parallelization", partitions);
    return hrn;
}

function userAuth() {
    return new auth.UserAuth({
        credentials: auth.loadCredentialsFromFile(platform.CREDENTIALS),
        customUrl: `${platform.URL}/oauth2/token`,
        tokenRequester: auth.requestToken,
    });
}

// The SDK calls lookup at the root of a custom environment.
function settings() {
    const user = userAuth();
    return new core.OlpClientSettings({ environment: platform.URL, getToken: () => user.getToken() });
}

function client(hrn) {
    return new read.StreamLayerClient({ catalogHrn: core.HRN.fromString(hrn), layerId: "layer", settings: settings() });
}

// The SDK only logs a commit that fails: here it fails the test.
function watchLog(t) {
    const lines = [];
    t.mock.method(console, "log", line => lines.push(String(line)));
    t.after(() => assert.deepEqual(lines, []));
}

async function receive(poll, count) {
    const messages = [];
    const end = Date.now() + 60000;
    while (messages.length < count) {
        assert.ok(Date.now() < end, `${count} messages were expected, ${messages.length} came`);
        messages.push(...await poll());
    }
    return messages;
}

const text = message => Buffer.from(message.metaData.data, "base64").toString();

test("signs_in", async () => {
    const token = await userAuth().getToken();
    assert.match(token, /^\S{20,}$/);
    const answer = await fetch(`${platform.URL}/lookup/v1/platform/apis`, { headers: { Authorization: `Bearer ${token}` } });
    assert.equal(answer.status, 200);
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

// The SDK's own way to a base URL: lookup, a token for each request.
const requests = (hrn, name, version) => core.RequestFactory.create(name, version, settings(), core.HRN.fromString(hrn));

// Everything on the layer from its begin on.
async function readAll(hrn, count) {
    const stream = client(hrn);
    await stream.subscribe(new read.SubscribeRequest().withMode("serial")
        .withSubscriptionProperties({ "auto.offset.reset": "earliest", "group.id": `ts-${process.pid}-${made++}` }));
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
        error => error.status === 404 && /no-such-blob/.test(error.message));
    await assert.rejects(client(hrn).getData({ metaData: { partition: "k", dataHandle: "none" }, offset: {} }),
        error => error.status === 404);
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
    // The SDK's call then looks for JSON, which the 204 that the platform's API has cannot carry.
    await assert.rejects(api.PublishApi.cancelPublication(publish, { publicationId: other.id }), SyntaxError);
    await assert.rejects(api.PublishApi.getPublication(publish, { publicationId: other.id }), error => error.status === 404);
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

test("unknown_layer", async () => {
    const hrn = makeLayer(1);
    const stream = new read.StreamLayerClient({ catalogHrn: core.HRN.fromString(hrn), layerId: "no-such-layer", settings: settings() });
    await assert.rejects(stream.subscribe(new read.SubscribeRequest().withMode("serial")),
        error => error.status === 404 && /no-such-layer/.test(error.message));
});

test("reads_configuration", async () => {
    const hrn = makeLayer(3);
    const catalog = new read.CatalogClient(core.HRN.fromString(hrn), settings());
    const found = await catalog.getCatalog(new read.CatalogRequest());
    assert.equal(found.hrn, hrn);
    assert.equal(found.layers[0].id, "layer");
    assert.equal(found.layers[0].layerType, "stream");
    assert.equal(found.layers[0].streamProperties.parallelization, 3);
});
