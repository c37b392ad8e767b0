// What the SDK reports where an application has not the right, by every call.
"use strict";

const assert = require("node:assert/strict");
const fs = require("node:fs");
const { test } = require("node:test");

const { platform, cli, name, makeLayer, makeApplication, userAuth, settings, client, requests, receive, text, refusal } =
    require("./platform.js");
const core = require("@here/olp-sdk-core");
const api = require("@here/olp-sdk-dataservice-api");
const read = require("@here/olp-sdk-dataservice-read");

const layer = { layerId: "layer" }, none = { layerId: "layer", mode: "serial", subscriptionId: "none" };
const octets = { "Content-Type": "application/octet-stream" };

// The call, the right that it needs ("any" of them, or "": none), its API, and what it comes to with that right: nothing
// wrong, or a code.
const calls = [
    [api.LookupApi.getResourceAPIList, "any", "lookup", hrn => ({ hrn })],
    [api.LookupApi.resourceAPI, "any", "lookup", hrn => ({ hrn, api: "stream", version: "v2" })],
    [api.LookupApi.getPlatformAPIList, "", "lookup", () => ({})],
    [api.LookupApi.platformAPI, "", "lookup", () => ({ api: "config", version: "v1" })],
    [api.ConfigApi.getCatalogs, "", "config", () => ({})],
    [api.ConfigApi.getCatalogStatus, "", "config", () => ({ token: "completed" })],
    [api.ConfigApi.getCatalog, "any", "config", catalogHrn => ({ catalogHrn })],
    [api.ConfigApi.catalogExists, "any", "config", catalogHrn => ({ catalogHrn })],
    [api.ConfigApi.createCatalog, "create", "config", () => ({ body: { id: name(), name: "n" } })],
    [api.ConfigApi.patchCatalog, "manage", "config", catalogHrn => ({ catalogHrn, body: { name: "n" } })],
    [api.ConfigApi.updateCatalog, "manage", "config", catalogHrn => ({ catalogHrn, body: { name: "n" } })],
    [api.ConfigApi.patchLayer, "manage", "config", catalogHrn => ({ catalogHrn, layerId: "layer", body: { name: "n" } })],
    [api.ConfigApi.deleteLayer, "manage", "config", catalogHrn => ({ catalogHrn, layerId: "none" }), "no-such-layer"],
    [api.StreamApi.endpoint, "any", "stream", () => layer],
    [api.StreamApi.endpointByConsumer, "read", "stream", () => ({ ...layer, type: "consumer" })],
    [api.StreamApi.endpointByConsumer, "write", "stream", () => ({ ...layer, type: "producer" })],
    [api.StreamApi.subscribe, "read", "stream", () => ({ ...layer, mode: "serial", subscriptionProperties: { "group.id": name() } })],
    [api.StreamApi.consumeData, "read", "stream", () => none, "no-such-subscription"],
    [api.StreamApi.doCommitOffsets, "read", "stream", () => ({ ...none, commitOffsets: { offsets: [] } }), "no-such-subscription"],
    [api.StreamApi.seekToOffset, "read", "stream", () => ({ ...none, seekOffsets: { offsets: [{ partition: 0, offset: 0 }] } }), "no-such-subscription"],
    [api.StreamApi.deleteSubscription, "read", "stream", () => none, "no-such-subscription"],
    [api.BlobApi.putData, "write", "blob", () => ({ ...layer, dataHandle: name(), body: "{}" })],
    [api.BlobApi.getBlob, "read", "blob", () => ({ ...layer, dataHandle: "stored" })],
    [api.BlobApi.checkBlobExistsStatus, "read", "blob", () => ({ ...layer, dataHandle: "stored" })],
    [api.PublishApi.initPublication, "write", "publish", () => ({ body: { layerIds: ["layer"] } })],
    [api.PublishApi.uploadPartitions, "write", "publish", () => ({ ...layer, publicationId: "none", body: { partitions: [] } }),
        "no-such-publication"],
    [api.PublishApi.submitPublication, "write", "publish", () => ({ publicationId: "none" }), "no-such-publication"],
    [api.PublishApi.getPublication, "write", "publish", () => ({ publicationId: "none" }), "no-such-publication"],
    [api.PublishApi.cancelPublication, "write", "publish", () => ({ publicationId: "none" }), "no-such-publication"],
    [function ingest(builder) {
        return builder.request(new api.UrlBuilder(`${builder.baseUrl}/layers/layer`), { method: "POST", headers: octets, body: "x" });
    }, "write", "ingest", () => ({})],
];
const headOnly = [api.ConfigApi.catalogExists, api.BlobApi.checkBlobExistsStatus];

async function checkCalls(t, ...rights) {
    const hrn = makeLayer(1);
    const versions = { config: "v1", stream: "v2", blob: "v1", publish: "v2", ingest: "v1" };
    const bases = { lookup: platform.URL };
    for (const [its, version] of Object.entries(versions))
        bases[its] = (await requests(hrn, its, version)).baseUrl;
    await api.BlobApi.putData(await requests(hrn, "blob", "v1"), { ...layer, dataHandle: "stored", body: "{}" });
    const as = makeApplication(t, hrn, ...rights).settings;
    for (const [call, right, its, parameters, code] of calls) {
        const outcome = call(new core.DataStoreRequestBuilder(as.downloadManager, bases[its], as.token), parameters(hrn));
        const allowed = !right || (right === "any" ? rights.length > 0 : rights.includes(right));
        // Whoever may only write sees its own blobs, and no other's.
        const hidden = right === "read" && its === "blob" && rights.includes("write") && !allowed;
        const status = hidden || allowed ? 404 : 403, why = hidden ? "no-such-blob" : allowed ? code : "forbidden";
        await t.test(`${call.name} ${right} ${why || ""}`, async () => {
            if (!why)
                await outcome;
            else // there is no body to find the code in
                await assert.rejects(outcome, headOnly.includes(call) ? error => error.status === status : refusal(status, why));
        });
    }
    return { hrn, as };
}

const subscribe = (hrn, as) => client(hrn, as).subscribe(new read.SubscribeRequest().withMode("serial"));
const getCatalog = (hrn, as) => new read.CatalogClient(core.HRN.fromString(hrn), as).getCatalog(new read.CatalogRequest());
const isListed = async (hrn, as) =>
    (await new read.ConfigClient(as).getCatalogs()).results.items.some(catalog => catalog.hrn === hrn);

test("without_rights", async t => {
    const { hrn, as } = await checkCalls(t);
    await assert.rejects(subscribe(hrn, as), refusal(403, "forbidden"));
    await assert.rejects(getCatalog(hrn, as), refusal(403, "forbidden"));
    assert.equal(await isListed(hrn, as), false);
    // The same for one that is not there.
    await assert.rejects(getCatalog(`hrn:here:data::local:${name()}`, as), refusal(403, "forbidden"));
});

test("read_only", async t => {
    const { hrn, as } = await checkCalls(t, "read");
    assert.equal((await getCatalog(hrn, as)).hrn, hrn);
    assert.equal(await isListed(hrn, as), true);
});

test("write_only", async t => {
    const { hrn, as } = await checkCalls(t, "write");
    assert.equal((await getCatalog(hrn, as)).hrn, hrn);
    await assert.rejects(subscribe(hrn, as), refusal(403, "forbidden"));
    const stored = { metaData: { partition: "p", dataHandle: "stored" }, offset: { partition: 0, offset: 0 } };
    await assert.rejects(client(hrn, as).getData(stored), refusal(404, "no-such-blob"));
});

test("manage_only", async t => {
    const { hrn, as } = await checkCalls(t, "manage");
    await assert.rejects(subscribe(hrn, as), refusal(403, "forbidden"));
});

test("all_rights", async t => {
    await checkCalls(t, "read", "write", "manage");
});

test("subscriptions_of_others", async t => {
    const hrn = makeLayer(1);
    cli("one\n", "produce", hrn, "layer");
    const id = name(), serial = request => request.withMode("serial").withSubscriptionId(id);
    const stream = client(hrn);
    await stream.subscribe(serial(new read.SubscribeRequest())
        .withSubscriptionProperties({ "auto.offset.reset": "earliest", "group.id": name() }));
    const other = client(hrn, makeApplication(t, hrn, "read").settings);
    other.subscribtionNodeBaseUrl = stream.subscribtionNodeBaseUrl; // as subscribe leaves it
    const gone = refusal(404, "no-such-subscription");
    await assert.rejects(other.poll(serial(new read.PollRequest())), gone);
    await assert.rejects(other.seek(serial(new read.SeekRequest()).withSeekOffsets({ offsets: [{ partition: 0, offset: 0 }] })), gone);
    await assert.rejects(other.unsubscribe(serial(new read.UnsubscribeRequest())), gone);
    const messages = await receive(() => stream.poll(serial(new read.PollRequest())), 1);
    assert.deepEqual(messages.map(text), ["one"]);
});

test("revoked_rights", async t => {
    const hrn = makeLayer(1);
    const application = makeApplication(t, hrn, "read");
    const stream = client(hrn, application.settings);
    await stream.subscribe(new read.SubscribeRequest().withMode("serial"));
    const poll = () => stream.poll(new read.PollRequest().withMode("serial"));
    assert.deepEqual(await poll(), []);
    cli("", "revoke", application.name, hrn);
    await assert.rejects(poll(), refusal(403, "forbidden"));
    cli("", "grant", application.name, hrn, "read");
    await assert.rejects(poll(), refusal(404, "no-such-subscription"));
    await stream.subscribe(new read.SubscribeRequest().withMode("serial"));
    assert.deepEqual(await poll(), []);
});

test("deleted_application", async t => {
    const hrn = makeLayer(1);
    const application = makeApplication(t, hrn, "read");
    const stream = client(hrn, application.settings);
    await stream.subscribe(new read.SubscribeRequest().withMode("serial"));
    application.delete();
    await assert.rejects(stream.poll(new read.PollRequest().withMode("serial")), refusal(401, "unauthenticated"));
    await assert.rejects(userAuth(application.credentials).getToken(), error => error.status === 401);
});

test("rotated_application_keys", async t => {
    const hrn = makeLayer(1);
    const { name: application, credentials: file } = makeApplication(t, hrn, "read");
    const user = () => userAuth(file); // with the key of then
    const rotate = (...how) => fs.writeFileSync(file, cli("", "app", "rotate", application, ...how));
    const works = async as => assert.equal((await getCatalog(hrn, settings(as))).hrn, hrn);
    const ended = error => core.HttpError.isHttpError(error) && error.status === 401;

    const signedIn = user(), first = user();
    await signedIn.getToken();
    rotate();
    const second = user();
    assert.notEqual(second.m_credentials.accessKeyId, first.m_credentials.accessKeyId);
    await works(first); // both are good for the grace
    await works(second);
    const late = userAuth(file, { credentials: first.m_credentials });
    rotate("--now");
    await assert.rejects(late.getToken(), ended);
    await assert.rejects(new read.ConfigClient(settings(late)).getCatalogs(), ended);
    for (const each of [signedIn, first, second, user()]) // tokens are good until they end
        await works(each);
});
