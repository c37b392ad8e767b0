// What the SDK reports of APIs that this platform does not have, and that no call of the packages is forgotten.
"use strict";

const assert = require("node:assert/strict");
const fs = require("node:fs");
const path = require("node:path");
const { test } = require("node:test");

const { platform, makeLayer, userAuth, settings, requests, refusal } = require("./platform.js");
const auth = require("@here/olp-sdk-authentication");
const core = require("@here/olp-sdk-core");
const api = require("@here/olp-sdk-dataservice-api");
const read = require("@here/olp-sdk-dataservice-read");

// Their names and versions in lookup.
const absent = {
    MetadataApi: ["metadata", "v1"], QueryApi: ["query", "v1"], CoverageApi: ["statistics", "v1"], IndexApi: ["index", "v1"],
    VolatileBlobApi: ["volatile-blob", "v1"], ArtifactApi: ["artifact", "v1"], ObjectStoreApi: ["blob", "v2"],
    InteractiveApi: ["interactive", "v1"], AuthorizationAPI: ["authorization", "v1.1"],
};
// Single calls of APIs that are there: what they are answered.
const refused = {
    "ConfigApi.disableAutomaticVersionDeletion": [404, "no-such-path"],
    "BlobApi.deleteBlob": [405, "method-not-allowed"],
    "BlobApi.startMultipartUpload": [404, "no-such-path"],
    "BlobApi.getMultipartUploadStatus": [404, "no-such-path"],
    "BlobApi.cancelMultipartUpload": [404, "no-such-path"],
    "BlobApi.doUploadPart": [404, "no-such-path"],
    "BlobApi.doCompleteMultipartUpload": [404, "no-such-path"],
};

const calls = namespace => Object.entries(api[namespace]).filter(([, value]) => typeof value === "function");
// Whatever a call takes.
const anything = more => new Proxy({ partition: ["p"], contentLength: undefined, ...more },
    { get: (known, key) => key in known ? known[key] : "x" });
const notFound = (its, version) => error => {
    const message = String(error.message ?? error); // some of the SDK's clients reject with a text
    assert.match(message, new RegExp(`No BaseUrl found for ${its}, ${version}`));
    return typeof error === "string" || !core.HttpError.isHttpError(error) || error.status === 404;
};

test("apis_that_are_absent", async t => {
    const hrn = makeLayer(1);
    for (const [namespace, [its, version]] of Object.entries(absent)) {
        await assert.rejects(requests(hrn, its, version), error => core.HttpError.isHttpError(error) && notFound(its, version)(error));
        await assert.rejects(requests(undefined, its, version), notFound(its, version));
        const builder = new core.DataStoreRequestBuilder(
            settings().downloadManager, `${platform.URL}/${its}/${version}/catalogs/${hrn}`, settings().token);
        assert.ok(calls(namespace).length, namespace);
        for (const [call, run] of calls(namespace))
            await t.test(`${namespace}.${call}`, async () => {
                const head = /^check/.test(call); // there is no body to find the code in
                await assert.rejects(run(builder, anything({})),
                    head ? error => error.status === 404 : refusal(404, "no-such-path"));
            });
    }
});

test("calls_that_are_absent", async t => {
    const hrn = makeLayer(1);
    for (const [call, [status, code]] of Object.entries(refused)) {
        const [namespace, own] = call.split(".");
        const builder = await requests(hrn, namespace.replace("Api", "").toLowerCase(), "v1");
        const at = { catalogHrn: hrn, layerId: "layer", dataHandle: "h", multiPartToken: "t",
            url: `${builder.baseUrl}/layers/layer/data/h/multiparts/t` };
        await t.test(call, async () => assert.rejects(api[namespace][own](builder, anything(at)), refusal(status, code)));
    }
    // They are HERE's accounts', which tokens of this platform know nothing of.
    const user = userAuth(platform.CREDENTIALS, { customUrl: `${platform.URL}/` });
    const token = await userAuth().getToken();
    for (const call of ["validateAccessToken", "getUserInfo"])
        await assert.rejects(user[call](token), error => core.HttpError.isHttpError(error) && error.status === 404);
});

test("clients_of_other_layers", async () => {
    const hrn = makeLayer(1), catalogHrn = core.HRN.fromString(hrn);
    const layer = { catalogHrn, layerId: "layer", settings: settings() };
    const tile = core.TileKey.fromRowColumnLevel(1, 1, 2);
    const byId = () => new read.PartitionsRequest().withPartitionIds(["p"]);
    const byTile = () => new read.QuadKeyPartitionsRequest().withQuadKey(tile).withDepth(1);
    const ofTile = () => new read.TileRequest().withTileKey(tile);
    const index = type => new read.QuadTreeIndexRequest(catalogHrn, "layer", type).withQuadKey(tile).withDepth(1);

    const versioned = () => new read.VersionedLayerClient(layer);
    const volatile = new read.VolatileLayerClient(layer);
    const query = new read.QueryClient(settings());
    const catalog = new read.CatalogClient(catalogHrn, settings());
    const statistics = new read.StatisticsClient(settings());
    const artifact = new read.ArtifactClient(settings());
    const schema = core.HRN.fromString("hrn:here:schema::olp-here:com.here.schema:sdii_v3:1.0.0");
    const coverage = type => new read.StatisticsRequest().withCatalogHrn(hrn).withLayerId("layer").withTypemap(type).withDataLevel("12");

    for (const [its, call] of [
        ["metadata", () => versioned().getPartitions(new read.PartitionsRequest())],
        ["metadata", () => versioned().getPartitions(byTile())],
        ["metadata", () => versioned().getData(new read.DataRequest().withPartitionId("p"))],
        ["metadata", () => versioned().getAggregatedData(ofTile())],
        ["query", () => new read.VersionedLayerClient({ ...layer, version: 1 }).getPartitions(byId())],
        ["query", () => new read.VersionedLayerClient({ ...layer, version: 1 }).getAggregatedData(ofTile())],
        ["metadata", () => volatile.getPartitions(new read.PartitionsRequest())],
        ["query", () => volatile.getPartitions(byId())],
        ["query", () => volatile.getPartitions(byTile())],
        ["query", () => volatile.getData(new read.DataRequest().withPartitionId("p"))],
        ["volatile-blob", () => volatile.getData(new read.DataRequest().withDataHandle("h"))],
        ["volatile-blob", () => volatile.getAggregatedData(ofTile())],
        ["index", () => new read.IndexLayerClient(layer).getPartitions(new read.IndexQueryRequest().withQueryString("a==1"))],
        ["query", () => query.fetchQuadTreeIndex(index("volatile"))],
        ["metadata", () => query.fetchQuadTreeIndex(index("versioned"))],
        ["query", () => query.getPartitionsById(byId(), "layer", catalogHrn)],
        ["metadata", () => query.getCatalogLatestVersion(catalogHrn)],
        ["metadata", () => catalog.getEarliestVersion(new read.CatalogVersionRequest())],
        ["metadata", () => catalog.getLatestVersion(new read.CatalogVersionRequest())],
        ["metadata", () => catalog.getVersions(new read.CatalogVersionRequest())],
        ["metadata", () => catalog.getLayerVersions(new read.LayerVersionsRequest())],
        ["statistics", () => statistics.getSummary(new read.SummaryRequest().withCatalogHrn(hrn).withLayerId("layer"))],
        ["statistics", () => statistics.getStatistics(coverage(read.CoverageDataType.BITMAP))],
        ["statistics", () => statistics.getStatistics(coverage(read.CoverageDataType.SIZEMAP))],
        ["statistics", () => statistics.getStatistics(coverage(read.CoverageDataType.TIMEMAP))],
        ["artifact", () => artifact.getSchemaDetails(new read.SchemaDetailsRequest().withSchema(schema))],
        ["artifact", () => artifact.getSchema(new read.SchemaRequest().withVariant({ id: "ds", url: `${schema}` }))],
    ])
        await assert.rejects(call(), notFound(its, "v1"), call.toString());
});

// The documents list every call of the packages: one that a new version brings is tested, or named as not offered.
test("calls_are_documented", () => {
    const page = fs.readFileSync(path.join(__dirname, "../../../docs/protocol.md"), "utf8");
    const listed = new Set(Array.from(page.matchAll(/`([A-Za-z]+\.[A-Za-z]+)`/g), match => match[1]));
    const there = new Set();
    for (const namespace of Object.keys(api).filter(each => typeof api[each] === "object" && !absent[each]))
        calls(namespace).forEach(([call]) => there.add(`${namespace}.${call}`));
    const clients = Object.entries({ ...read, UserAuth: auth.UserAuth }).filter(([its]) => /(Client|UserAuth)$/.test(its));
    for (const [its, value] of clients)
        Object.getOwnPropertyNames(value.prototype)
            .filter(call => !["constructor", "getRequestBuilder", "downloadPartition", "getDataHandleByPartitionId"].includes(call))
            .filter(call => !(its === "VersionedLayerClient" && call === "getLatestVersion")) // private, all of them
            .forEach(call => there.add(`${its}.${call}`));
    assert.deepEqual([...there].filter(call => !listed.has(call)), [], "calls that docs/protocol.md does not name");
    for (const namespace of Object.keys(absent))
        assert.ok(page.includes(`\`${namespace}\``), namespace);
    for (const call of listed)
        if (typeof api[call.split(".")[0]] === "object" || read[call.split(".")[0]] || call.startsWith("UserAuth."))
            assert.ok(there.has(call), `docs/protocol.md names ${call}, which there is not`);
});
