// The official HERE SDK for TypeScript, unpatched, against the gateway. Each test is a CTest entry of its own.
"use strict";

const assert = require("node:assert/strict");
const { execFileSync } = require("node:child_process");
const fs = require("node:fs");
const { test } = require("node:test");

require("@here/olp-sdk-fetch");
const auth = require("@here/olp-sdk-authentication");
const core = require("@here/olp-sdk-core");
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
