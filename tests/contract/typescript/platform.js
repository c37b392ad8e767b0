// The platform under test, and what the tests of the SDK share. STREAMLAYER_TEST_PLATFORM names the directory whose
// file `env` says where it is.
"use strict";

const assert = require("node:assert/strict");
const { execFileSync } = require("node:child_process");
const fs = require("node:fs");
const os = require("node:os");

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
const name = () => `ts-${process.pid}-${Date.now() % 1e9}-${made++}`;

function makeLayer(partitions) {
    const hrn = cli("", "catalog", "create", name()).split("\n").pop();
    cli("", "layer", "create", hrn, "layer", "--content-type", "application/octet-stream", "--parallelization", partitions);
    return hrn;
}

function userAuth(credentials = platform.CREDENTIALS, more = {}) {
    return new auth.UserAuth({
        credentials: auth.loadCredentialsFromFile(credentials),
        customUrl: `${platform.URL}/oauth2/token`,
        tokenRequester: auth.requestToken,
        ...more,
    });
}

// The SDK calls lookup at the root of a custom environment.
function settings(user = userAuth()) {
    return new core.OlpClientSettings({ environment: platform.URL, getToken: () => user.getToken() });
}

function client(hrn, as = settings()) {
    return new read.StreamLayerClient({ catalogHrn: core.HRN.fromString(hrn), layerId: "layer", settings: as });
}

// The SDK's own way to a base URL: lookup, a token for each request.
const requests = (hrn, api, version) =>
    core.RequestFactory.create(api, version, settings(), hrn ? core.HRN.fromString(hrn) : undefined);

// An application of the test's own, with rights on the catalog.
function makeApplication(t, hrn, ...rights) {
    const directory = fs.mkdtempSync(`${os.tmpdir()}/streamlayer-typescript-`);
    const application = { name: name(), credentials: `${directory}/credentials.properties` };
    let there = true;
    application.delete = () => {
        if (there)
            cli("", "app", "delete", application.name, "--yes");
        there = false;
    };
    t.after(() => {
        application.delete();
        fs.rmSync(directory, { recursive: true });
    });
    cli("", "app", "create", application.name, "--credentials", application.credentials);
    if (rights.length)
        cli("", "grant", application.name, hrn, rights.join(","));
    application.settings = settings(userAuth(application.credentials));
    return application;
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

// Whether an error is the SDK's own, with the gateway's status and code.
function refusal(status, code) {
    return error => {
        assert.ok(core.HttpError.isHttpError(error), error.stack);
        assert.equal(error.status, status, error.message);
        const answer = JSON.parse(error.message.slice(error.message.indexOf(" | Info: ") + 9));
        assert.deepEqual({ status: answer.status, code: answer.code }, { status, code }, error.message);
        assert.ok(answer.cause && answer.action, error.message);
        return true;
    };
}

module.exports = {
    platform, cli, name, makeLayer, makeApplication, userAuth, settings, client, requests, watchLog, receive, text, refusal,
};
