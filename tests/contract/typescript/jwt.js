// Tokens by an independent library (jose), for the tests in Python: one JSON object on standard input, one on standard
// output.
"use strict";

const fs = require("node:fs");
const jose = require("jose");

const calls = {
    // The payload and header of each token, checked as any other service would check it; or an error.
    async verify({ jwks, issuer, audience, tokens }) {
        const keys = jose.createRemoteJWKSet(new URL(jwks));
        return Promise.all(tokens.map(token =>
            jose.jwtVerify(token, keys, { issuer, audience })
                .then(({ payload, protectedHeader }) => ({ payload, header: protectedHeader }),
                      error => ({ error: error.code || String(error) }))));
    },

    // A key pair for each algorithm.
    async generate({ algorithms }) {
        return Promise.all(algorithms.map(async (alg, index) => {
            const { publicKey, privateKey } = await jose.generateKeyPair(alg, { extractable: true });
            const kid = `key-${index}`;
            return {
                public: { ...await jose.exportJWK(publicKey), kid, use: "sig" },
                private: { ...await jose.exportJWK(privateKey), kid, alg },
            };
        }));
    },

    // Signs claims with a private JWK, or a PEM file's key; the header is as given.
    async sign({ key, pem, header, claims }) {
        const secret = pem ? await jose.importPKCS8(fs.readFileSync(pem, "utf8"), header.alg) : await jose.importJWK(key, header.alg);
        return new jose.SignJWT(claims).setProtectedHeader(header).sign(secret);
    },
};

(async () => {
    const { call, ...options } = JSON.parse(fs.readFileSync(0, "utf8"));
    process.stdout.write(JSON.stringify(await calls[call](options)));
})();
