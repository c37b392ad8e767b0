package streamlayer.flink;

import com.here.account.auth.OAuth1ClientCredentialsProvider;
import com.here.account.auth.provider.FromDefaultHereCredentialsPropertiesFile;
import com.here.account.http.apache.ApacheHttpClientProvider;
import com.here.account.oauth2.AccessTokenResponse;
import com.here.account.oauth2.ClientAuthorizationRequestProvider;
import com.here.account.oauth2.ClientCredentialsGrantRequest;
import com.here.account.oauth2.HereAccount;
import java.io.File;
import java.io.IOException;
import java.util.List;
import java.util.Map;
import java.util.Set;
import javax.security.auth.callback.Callback;
import javax.security.auth.callback.UnsupportedCallbackException;
import javax.security.auth.login.AppConfigurationEntry;
import org.apache.kafka.common.security.auth.AuthenticateCallbackHandler;
import org.apache.kafka.common.security.auth.SaslExtensions;
import org.apache.kafka.common.security.auth.SaslExtensionsCallback;
import org.apache.kafka.common.security.oauthbearer.OAuthBearerToken;
import org.apache.kafka.common.security.oauthbearer.OAuthBearerTokenCallback;

/**
 * Shows brokers the application's own bearer token. Kafka's client asks for one when it logs in and again when four
 * fifths of its time are over, so a job runs for as long as its access key is good.
 *
 * <p>The key is read from a credentials.properties: the one that the option credentials of the login module names (in
 * sasl.jaas.config), or ~/.here/credentials.properties. Every machine of a cluster needs that file.
 */
public final class TokenLogin implements AuthenticateCallbackHandler {
    private static final String OPTION = "credentials";

    private ClientAuthorizationRequestProvider credentials;

    @Override
    public void configure(Map<String, ?> configs, String mechanism, List<AppConfigurationEntry> entries) {
        Object file = entries.isEmpty() ? null : entries.get(0).getOptions().get(OPTION);
        try {
            credentials = file == null
                    ? new FromDefaultHereCredentialsPropertiesFile()
                    : new OAuth1ClientCredentialsProvider.FromFile(new File(file.toString()));
        } catch (IOException e) {
            throw new IllegalArgumentException("the credentials file " + file + " cannot be read: " + e.getMessage()
                    + "; sasl.jaas.config names it, and every machine of the cluster needs it", e);
        }
    }

    @Override
    public void handle(Callback[] callbacks) throws IOException, UnsupportedCallbackException {
        for (Callback callback : callbacks) {
            if (callback instanceof OAuthBearerTokenCallback) {
                ((OAuthBearerTokenCallback) callback).token(fetch());
            } else if (callback instanceof SaslExtensionsCallback) {
                ((SaslExtensionsCallback) callback).extensions(SaslExtensions.empty());
            } else {
                throw new UnsupportedCallbackException(callback);
            }
        }
    }

    private OAuthBearerToken fetch() throws IOException {
        long now = System.currentTimeMillis();
        try (var http = ApacheHttpClientProvider.builder().build()) {
            AccessTokenResponse answer =
                    HereAccount.getTokenEndpoint(http, credentials).requestToken(new ClientCredentialsGrantRequest());
            return new Token(answer.getAccessToken(), now, now + answer.getExpiresIn() * 1000);
        } catch (RuntimeException e) {
            throw new IOException("no token for the brokers: " + e.getMessage(), e);
        }
    }

    @Override
    public void close() {}

    private static final class Token implements OAuthBearerToken {
        private final String value;
        private final long from;
        private final long until;

        Token(String value, long from, long until) {
            this.value = value;
            this.from = from;
            this.until = until;
        }

        @Override
        public String value() {
            return value;
        }

        @Override
        public Set<String> scope() {
            return Set.of();
        }

        @Override
        public long lifetimeMs() {
            return until;
        }

        @Override
        public String principalName() {
            return "streamlayer"; // the brokers read the real one from the token
        }

        @Override
        public Long startTimeMs() {
            return from;
        }
    }
}
