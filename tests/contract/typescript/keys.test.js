// The SDK while the keys of tokens change, on a gateway of the test's own: clients_test.py starts it.
"use strict";

const assert = require("node:assert/strict");
const { test } = require("node:test");

const { cli, name, makeLayer, userAuth, settings, client, requests, watchLog, receive, refusal } = require("./platform.js");
const core = require("@here/olp-sdk-core");
const api = require("@here/olp-sdk-dataservice-api");
const read = require("@here/olp-sdk-dataservice-read");

const kid = token => JSON.parse(Buffer.from(token.split(".")[0], "base64url")).kid;
const subscribe = () => new read.SubscribeRequest().withMode("serial")
    .withSubscriptionProperties({ "auto.offset.reset": "earliest", "group.id": name() });
const poll = stream => stream.poll(new read.PollRequest().withMode("serial"));

test("keeps_on_while_keys_change", async t => {
    watchLog(t);
    const hrn = makeLayer(1);
    const { baseUrl, downloadManager } = await requests(hrn, "ingest", "v1");
    const post = token => new core.DataStoreRequestBuilder(downloadManager, baseUrl, async () => token).request(
        new api.UrlBuilder(`${baseUrl}/layers/layer`),
        { method: "POST", headers: { "Content-Type": "application/octet-stream" }, body: "x" });
    const reader = userAuth(), stream = client(hrn, settings(reader));
    await stream.subscribe(subscribe());
    const token = await reader.getToken(), kids = new Set([kid(token)]);
    let sent = 0, got = 0;
    while (kids.size < 4) { // each token that was got stays good, and so does the first
        const other = await userAuth().getToken();
        kids.add(kid(other));
        await post(other);
        await post(token);
        sent += 2;
        got += (await poll(stream)).length;
    }
    got += (await receive(() => poll(stream), sent - got)).length;
    assert.equal(got, sent);
    assert.equal(await reader.getToken(), token);
});

test("signs_in_after_a_revocation", async t => {
    watchLog(t);
    const hrn = makeLayer(1);
    cli("one\n", "produce", hrn, "layer");
    let user = userAuth();
    const stream = client(hrn, settings({ getToken: () => user.getToken() }));
    await stream.subscribe(subscribe());
    const revoked = kid(await user.getToken());
    cli("", "token", "revoke-key", revoked, "--yes");
    await assert.rejects(poll(stream), refusal(401, "unauthenticated"));
    user = userAuth(); // which the SDK does not do by itself: it keeps a token for as long as it was to be good
    assert.notEqual(kid(await user.getToken()), revoked);
    await receive(() => poll(stream), 1); // the subscription goes on
});
