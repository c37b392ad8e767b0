import com.here.account.auth.NoAuthorizer;
import com.here.account.auth.OAuth1ClientCredentialsProvider;
import com.here.account.auth.OAuth1Signer;
import com.here.account.auth.OAuth2Authorizer;
import com.here.account.auth.SignatureMethod;
import com.here.account.auth.provider.ClientAuthorizationProviderChain;
import com.here.account.auth.provider.FromDefaultHereCredentialsPropertiesFile;
import com.here.account.auth.provider.FromHereCredentialsIniFile;
import com.here.account.auth.provider.FromHereCredentialsIniStream;
import com.here.account.auth.provider.FromProperties;
import com.here.account.auth.provider.FromSystemProperties;
import com.here.account.client.Client;
import com.here.account.http.HttpProvider;
import com.here.account.http.apache.ApacheHttpClientProvider;
import com.here.account.http.java.JavaHttpProvider;
import com.here.account.identity.bo.IdentityTokenRequest;
import com.here.account.oauth2.AccessTokenException;
import com.here.account.oauth2.AccessTokenRequest;
import com.here.account.oauth2.AccessTokenResponse;
import com.here.account.oauth2.ClientAuthorizationRequestProvider;
import com.here.account.oauth2.ClientCredentialsGrantRequest;
import com.here.account.oauth2.ErrorResponse;
import com.here.account.oauth2.Fresh;
import com.here.account.oauth2.HereAccessTokenProvider;
import com.here.account.oauth2.HereAccount;
import com.here.account.oauth2.TokenEndpoint;
import com.here.account.oauth2.retry.NoRetryPolicy;
import com.here.account.oauth2.retry.Socket5xxExponentialRandomBackoffPolicy;
import com.here.account.util.JacksonSerializer;
import com.here.account.util.RefreshableResponseProvider;
import com.here.account.util.SettableSystemClock;
import java.io.ByteArrayInputStream;
import java.io.File;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.util.Collections;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Properties;
import java.util.Set;
import java.util.function.Supplier;

/**
 * HERE's own library calls the gateway, by everything that it has for that: Calls FILE PLATFORM WAY..., where FILE is a
 * credentials.properties and PLATFORM the platform's URL. Tokens are printed, one a line.
 */
public final class Calls {
    private final File file;
    private final String platform;
    private final SettableSystemClock clock = new SettableSystemClock();
    private final Properties properties;
    private final OAuth1ClientCredentialsProvider credentials;

    private Calls(File file, String platform) throws Exception {
        this.file = file;
        this.platform = platform;
        properties = OAuth1ClientCredentialsProvider.getPropertiesFromFile(file);
        credentials = new OAuth1ClientCredentialsProvider(clock, url(), id(), secret());
    }

    private String url() {
        return properties.getProperty("here.token.endpoint.url");
    }

    private String id() {
        return properties.getProperty("here.access.key.id");
    }

    private String secret() {
        return properties.getProperty("here.access.key.secret");
    }

    private static void print(String token) {
        System.out.println(token);
    }

    private static void expect(Object wanted, Object got) {
        if (!wanted.equals(got))
            throw new IllegalStateException("expected " + wanted + ", got " + got);
    }

    private static TokenEndpoint endpoint(HttpProvider http, ClientAuthorizationRequestProvider provider) {
        return HereAccount.getTokenEndpoint(http, provider, new JacksonSerializer());
    }

    private static AccessTokenResponse ask(ClientAuthorizationRequestProvider provider, AccessTokenRequest request)
        throws Exception {
        try (HttpProvider http = JavaHttpProvider.builder().build()) {
            return endpoint(http, provider).requestToken(request);
        }
    }

    private static void refused(ClientAuthorizationRequestProvider provider, AccessTokenRequest request, int status,
                                String code) throws Exception {
        try {
            print(ask(provider, request).getAccessToken());
        } catch (AccessTokenException e) {
            ErrorResponse error = e.getErrorResponse();
            expect(status, e.getStatusCode());
            expect(status, error.getStatus());
            expect(code, error.getCode());
            if (error.getTitle() == null || error.getCause() == null || error.getAction() == null
                || error.getCorrelationId() == null)
                throw new IllegalStateException("it lacks something: " + error);
            return;
        }
        throw new IllegalStateException("it was not refused");
    }

    /* By both HTTP clients, with all that a request can have. */
    private void once() throws Exception {
        for (HttpProvider each : List.of(JavaHttpProvider.builder().build(), ApacheHttpClientProvider.builder()
                 .setConnectionTimeoutInMs(30000).setRequestTimeoutInMs(30000).build()))
            try (HttpProvider http = each) {
                AccessTokenRequest request = new ClientCredentialsGrantRequest().setExpiresIn(600L);
                request.setScope("hrn:here:authorization::org:project/p").setCorrelationId("of-java");
                request.setAdditionalHeaders(Collections.singletonMap("X-Other", "other"));
                AccessTokenResponse response = HereAccount.getTokenEndpoint(http, credentials).requestToken(request);
                expect(600L, response.getExpiresIn());
                expect("bearer", response.getTokenType());
                expect("of-java", response.getCorrelationId());
                expect("hrn:here:authorization::org:project/p", response.getScope());
                print(response.getAccessToken());
            }
    }

    /* The refusal's number has it ask for the time, and sign again. */
    private void late() throws Exception {
        clock.setCurrentTimeMillis(System.currentTimeMillis() - 3600000);
        print(ask(credentials, new ClientCredentialsGrantRequest()).getAccessToken());
    }

    private void provider() throws Exception {
        try (HereAccessTokenProvider provider =
                 HereAccessTokenProvider.builder().setClientAuthorizationRequestProvider(credentials).build()) {
            print(provider.getAccessToken());
            expect(provider.getAccessToken(), provider.get());
            expect(provider.getAccessToken(), provider.getAccessTokenResponse().getAccessToken());
        }
        try (HereAccessTokenProvider provider =
                 HereAccessTokenProvider.builder().setClientAuthorizationRequestProvider(credentials)
                     .setHttpProvider(ApacheHttpClientProvider.builder().build()).setAlwaysRequestNewToken(true)
                     .setSerializer(new JacksonSerializer()).setRetryPolicy(new NoRetryPolicy()).build()) {
            String first = provider.getAccessToken(), second = provider.getAccessToken();
            if (first.equals(second))
                throw new IllegalStateException("the same token twice");
            print(first);
            print(second);
        }
    }

    /* Until the gateway has signed with three keys. */
    private void changing() throws Exception {
        try (HttpProvider http = JavaHttpProvider.builder().build()) {
            TokenEndpoint endpoint = endpoint(http, credentials);
            for (Set<String> heads = new HashSet<>(); heads.size() < 3;) {
                String token = endpoint.requestToken(new ClientCredentialsGrantRequest()).getAccessToken();
                if (heads.add(token.substring(0, token.indexOf('.')))) // which names the key
                    print(token);
            }
        }
    }

    private static String changed(Supplier<AccessTokenResponse> token) {
        String first = token.get().getAccessToken();
        print(first);
        while (token.get().getAccessToken().equals(first))
            Thread.onSpinWait();
        return token.get().getAccessToken();
    }

    /* A token of a minute is got anew after half of it, in the background. */
    private void refreshing() throws Exception {
        try (HttpProvider http = JavaHttpProvider.builder().build()) {
            TokenEndpoint endpoint = endpoint(http, credentials);
            Supplier<AccessTokenRequest> requests = () -> new ClientCredentialsGrantRequest().setExpiresIn(60L);
            try (Fresh<AccessTokenResponse> fresh = endpoint.requestAutoRefreshingToken(requests.get())) {
                print(changed(fresh::get));
            }
            try (Fresh<AccessTokenResponse> fresh = endpoint.requestAutoRefreshingToken(requests)) {
                print(fresh.get().getAccessToken());
            }
            RefreshableResponseProvider<AccessTokenResponse> own = new RefreshableResponseProvider<>(
                10L, endpoint.requestToken(requests.get()), before -> endpoint.requestToken(requests.get()));
            print(changed(own::getUnexpiredResponse));
            own.shutdown();
        }
    }

    /* From wherever credentials can come. */
    private void sources() throws Exception {
        String ini = "[default]\n" + new String(Files.readAllBytes(file.toPath()), StandardCharsets.UTF_8);
        File iniFile = File.createTempFile("credentials", ".ini");
        iniFile.deleteOnExit();
        Files.write(iniFile.toPath(), ini.getBytes(StandardCharsets.UTF_8));
        properties.forEach((name, value) -> System.setProperty((String) name, (String) value));
        for (ClientAuthorizationRequestProvider each : List.of(
                 new OAuth1ClientCredentialsProvider(url(), id(), secret()),
                 new OAuth1ClientCredentialsProvider.FromFile(file),
                 new OAuth1ClientCredentialsProvider.FromProperties(properties),
                 new FromProperties(clock, url(), id(), secret()), new FromSystemProperties(),
                 new FromDefaultHereCredentialsPropertiesFile(file), new FromHereCredentialsIniFile(iniFile, "default"),
                 new FromHereCredentialsIniStream(new ByteArrayInputStream(ini.getBytes(StandardCharsets.UTF_8))),
                 new ClientAuthorizationProviderChain(new FromSystemProperties()),
                 ClientAuthorizationProviderChain.getNewDefaultClientCredentialsProviderChain(clock)))
            print(ask(each, each.getNewAccessTokenRequest()).getAccessToken());
    }

    /* What is not right is refused with our status and code, in the library's own form. */
    private void refusals() throws Exception {
        AccessTokenRequest request = new ClientCredentialsGrantRequest();
        refused(new OAuth1ClientCredentialsProvider(clock, url(), id(), "wrong"), request, 401, "bad-signature");
        refused(new OAuth1ClientCredentialsProvider(clock, url(), "wrong", secret()), request, 401, "bad-signature");
        refused(credentials, new IdentityTokenRequest().withRunAsId("r").withNamespace("n"), 400, "unsupported-grant");
        refused(new Signing(new OAuth1Signer(clock, id(), secret(), SignatureMethod.HMACSHA1)), request, 401,
                "bad-signature");
        refused(new Signing(new NoAuthorizer()), request, 401, "bad-signature");
        print(ask(new Signing(new OAuth1Signer(id(), secret(), SignatureMethod.HMACSHA256)), request).getAccessToken());
    }

    /* An application whose key has ended. */
    private void ended() throws Exception {
        refused(credentials, new ClientCredentialsGrantRequest(), 401, "bad-signature");
    }

    /* Credentials with another way to sign. */
    private final class Signing extends OAuth1ClientCredentialsProvider {
        private final HttpProvider.HttpRequestAuthorizer authorizer;

        Signing(HttpProvider.HttpRequestAuthorizer authorizer) {
            super(url(), id(), secret());
            this.authorizer = authorizer;
        }

        @Override
        public HttpProvider.HttpRequestAuthorizer getClientAuthorizer() {
            return authorizer;
        }
    }

    /* The library's client for any API, with a token. */
    private void client() throws Exception {
        try (HttpProvider http = JavaHttpProvider.builder().build();
             HereAccessTokenProvider tokens =
                 HereAccessTokenProvider.builder().setClientAuthorizationRequestProvider(credentials).build()) {
            Client client = builder(http).withClientAuthorizer(new OAuth2Authorizer(tokens)).build();
            Object[] apis = call(client, "GET", "/lookup/v1/platform/apis", null, Object[].class);
            expect(platform + "/config/v1", ((Map<?, ?>) apis[0]).get("baseURL"));
            String id = "java-" + System.nanoTime(), hrn = "hrn:here:data::local:" + id;
            Map<?, ?> made = call(client, "POST", "/config/v1/catalogs", Collections.singletonMap("id", id), Map.class);
            expect(hrn, made.get("hrn"));
            expect(hrn, call(client, "GET", "/config/v1/catalogs/" + hrn, null, Map.class).get("hrn"));
            call(client, "DELETE", "/config/v1/catalogs/" + hrn, null, Map.class);
            failing(client, "/config/v1/catalogs/" + hrn, 404, "no-such-catalog");
            print(tokens.get());
            failing(builder(http).withClientAuthorizer(new OAuth2Authorizer("none")).build(), "/config/v1/catalogs", 401,
                    "unauthenticated");
            failing(builder(http).withClientAuthorizer(new NoAuthorizer()).build(), "/config/v1/catalogs", 401,
                    "unauthenticated");
        }
    }

    private static Client.Builder builder(HttpProvider http) {
        return Client.builder().withHttpProvider(http).withSerializer(new JacksonSerializer())
            .withRetryPolicy(new Socket5xxExponentialRandomBackoffPolicy());
    }

    private <T> T call(Client client, String method, String path, Object body, Class<T> type) {
        return client.sendMessage(method, platform + path, body, Collections.singletonMap("Accept", "application/json"),
                                  type, ErrorResponse.class, AccessTokenException::new);
    }

    private void failing(Client client, String path, int status, String code) {
        try {
            call(client, "GET", path, null, Map.class);
        } catch (AccessTokenException e) {
            expect(status, e.getStatusCode());
            expect(code, e.getErrorResponse().getCode());
            return;
        }
        throw new IllegalStateException(path + " was not refused");
    }

    public static void main(String[] arguments) throws Exception {
        for (String way : List.of(arguments).subList(2, arguments.length)) {
            Calls calls = new Calls(new File(arguments[0]), arguments[1]);
            Calls.class.getDeclaredMethod(way).invoke(calls);
        }
    }
}
