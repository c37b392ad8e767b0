// lookup and config, by every call that the SDK has for them.
"use strict";

const assert = require("node:assert/strict");
const { test } = require("node:test");

const { platform, cli, name, makeLayer, settings, requests, refusal } = require("./platform.js");
const core = require("@here/olp-sdk-core");
const api = require("@here/olp-sdk-dataservice-api");
const read = require("@here/olp-sdk-dataservice-read");

test("looks_up", async () => {
    const hrn = makeLayer(1);
    const lookup = new core.DataStoreRequestBuilder(settings().downloadManager, platform.URL, settings().token);
    const bases = {
        config: `${platform.URL}/config/v1`,
        blob: `${platform.URL}/blob/v1/catalogs/${hrn}`,
        ingest: `${platform.URL}/ingest/v1/catalogs/${hrn}`,
        publish: `${platform.URL}/publish/v2/catalogs/${hrn}`,
        stream: `${platform.URL}/stream/v2/catalogs/${hrn}`,
    };
    const basesOf = list => Object.fromEntries(list.map(entry => [entry.api, entry.baseURL]));
    const all = await api.LookupApi.getResourceAPIList(lookup, { hrn, region: "eu" });
    assert.match(all.headers.get("cache-control"), /max-age=\d+/);
    const listed = await all.json();
    const ours = listed[0].parameters.streamlayer ? { usage: `${platform.URL}/usage/v1` } : {};
    assert.deepEqual(basesOf(listed), { ...bases, ...ours });
    const ofPlatform = await (await api.LookupApi.getPlatformAPIList(lookup)).json();
    assert.deepEqual(basesOf(ofPlatform), { config: bases.config, ...ours });
    for (const entry of await (await api.LookupApi.getResourceAPIList(lookup, { hrn })).json()) {
        const { api: its, version } = entry;
        assert.deepEqual(await api.LookupApi.resourceAPI(lookup, { hrn, api: its, version }), [entry]);
    }
    assert.deepEqual(await api.LookupApi.platformAPI(lookup, { api: "config", version: "v1" }), ofPlatform.slice(0, 1));
    await assert.rejects(api.LookupApi.platformAPI(lookup, { api: "stream", version: "v2" }), refusal(404, "no-such-api"));
    await assert.rejects(api.LookupApi.resourceAPI(lookup, { hrn, api: "stream", version: "v1" }), refusal(404, "no-such-api"));
    const none = { hrn: `hrn:here:data::local:${name()}` };
    await assert.rejects(api.LookupApi.getResourceAPIList(lookup, none), refusal(404, "no-such-catalog"));

    const as = settings();
    const base = () => core.RequestFactory.getBaseUrl("config", "v1", as, core.HRN.fromString(hrn));
    assert.equal(await base(), bases.config);
    as.downloadManager.download = () => assert.fail("asked again");
    assert.equal(await base(), bases.config); // from the cache, for max-age
    const at = `${platform.URL}/lookup/v1`;
    assert.equal(await core.RequestFactory.getBaseUrl("config", "v1",
        new core.OlpClientSettings({ environment: at, getToken: settings().token })), bases.config);
});

test("reads_configuration", async () => {
    const hrn = makeLayer(3);
    const catalog = new read.CatalogClient(core.HRN.fromString(hrn), settings());
    const found = await catalog.getCatalog(new read.CatalogRequest().withBillingTag("billing"));
    assert.equal(found.hrn, hrn);
    assert.equal(found.layers[0].id, "layer");
    assert.equal(found.layers[0].layerType, "stream");
    assert.equal(found.layers[0].streamProperties.parallelization, 3);

    const list = await new read.ConfigClient(settings()).getCatalogs(new read.CatalogsRequest().withBillingTag("billing"));
    const item = list.results.items.find(each => each.hrn === hrn);
    assert.equal(item.title, found.name);
    assert.equal(item.type, "urn:olp-types:catalog");
    assert.equal(item.href, `${platform.URL}/config/v1/catalogs/${hrn}`);
    const verbose = await api.ConfigApi.getCatalogs(await requests(undefined, "config", "v1"), { verbose: "true", limit: 1 });
    assert.equal(verbose.results.items.length, 1);
});

test("administers", async () => {
    const config = await requests(undefined, "config", "v1");
    const id = name(), catalogHrn = `hrn:here:data::local:${id}`;
    // As the SDK's types ask for it.
    const layer = {
        id: "cars", name: "Cars", summary: "Where they are", description: "Positions", tags: ["a"], billingTags: [],
        layerType: "stream", contentType: "text/plain", ttl: 600000, partitioning: { scheme: "generic" }, volume: { volumeType: "durable" },
        coverage: { adminAreas: ["DE"] },
        streamProperties: { dataInThroughputKbps: 500, dataOutThroughputKbps: 1000, parallelization: 2 },
    };
    const body = { id, name: "Fleet", summary: "A fleet", description: "Of cars", tags: ["b"], layers: [layer] };
    const isDone = async link => {
        assert.equal(typeof link.configToken, "string");
        const { status } = await api.ConfigApi.getCatalogStatus(config, { token: link.configToken });
        assert.equal(status, "success");
    };
    const get = () => api.ConfigApi.getCatalog(config, { catalogHrn });

    await isDone(await api.ConfigApi.createCatalog(config, { body, billingTag: "billing" }));
    assert.equal((await api.ConfigApi.catalogExists(config, { catalogHrn })).status, 200);
    const made = await get();
    assert.equal(made.name, "Fleet");
    assert.deepEqual(made.layers[0].streamProperties, layer.streamProperties);
    assert.equal(made.layers[0].ttl, 600000);
    assert.equal(made.configToken, undefined);
    await assert.rejects(api.ConfigApi.createCatalog(config, { body }), refusal(409, "conflict"));

    await isDone(await api.ConfigApi.patchCatalog(config, { catalogHrn, body: { name: "Patched", tags: [] } }));
    assert.equal((await get()).name, "Patched");
    await isDone(await api.ConfigApi.updateCatalog(config, { catalogHrn, body: { ...body, name: "Updated" } }));
    assert.equal((await get()).name, "Updated");
    const patched = { catalogHrn, layerId: "cars", body: { name: "Taxis", streamProperties: { parallelization: 3 } } };
    await isDone(await api.ConfigApi.patchLayer(config, patched));
    assert.equal((await get()).layers[0].name, "Taxis");
    assert.equal((await get()).layers[0].streamProperties.parallelization, 3);

    const gone = await api.ConfigApi.deleteLayer(config, { catalogHrn, layerId: "cars" });
    await isDone(gone);
    assert.equal(gone.title, "Layer Deletion");
    assert.deepEqual((await get()).layers, []);
    const link = await api.ConfigApi.deleteCatalog(config, { catalogHrn });
    await isDone(link);
    assert.equal(link.href, `${platform.URL}/config/v1/status/${link.configToken}`);
    await assert.rejects(get(), refusal(404, "no-such-catalog"));
    await assert.rejects(api.ConfigApi.catalogExists(config, { catalogHrn }), error => error.status === 404);
    await assert.rejects(api.ConfigApi.deleteCatalog(config, { catalogHrn }), refusal(404, "no-such-catalog"));
    await assert.rejects(api.ConfigApi.getCatalogStatus(config, { token: "none" }), refusal(404, "not-found"));
    assert.ok(!cli("", "catalog", "list").includes(catalogHrn));
});
