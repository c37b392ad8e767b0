// The SDK where an application asks for more than it may, on a gateway of the test's own: clients_test.py starts it.
"use strict";

const assert = require("node:assert/strict");
const { test } = require("node:test");

const { platform, settings } = require("./platform.js");
const core = require("@here/olp-sdk-core");
const read = require("@here/olp-sdk-dataservice-read");

test("asks_again", async () => {
    let refused = 0;
    const dm = new core.DataStoreDownloadManager(async (...request) => {
        const answer = await fetch(...request);
        if (answer.status === 429) {
            assert.match(answer.headers.get("retry-after"), /^\d+$/);
            refused++;
        }
        return answer;
    });
    const as = new core.OlpClientSettings({ environment: platform.URL, getToken: settings().token, dm });
    const config = new read.ConfigClient(as);
    await config.getCatalogs(); // its base URL is known from here on
    const answers = await Promise.all(Array.from({ length: 8 }, () => config.getCatalogs()));
    assert.ok(answers.every(answer => Array.isArray(answer.results.items)));
    assert.ok(refused > 0);
});
