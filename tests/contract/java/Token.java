import com.here.account.auth.OAuth1ClientCredentialsProvider;
import com.here.account.http.HttpProvider;
import com.here.account.http.java.JavaHttpProvider;
import com.here.account.oauth2.AccessTokenResponse;
import com.here.account.oauth2.ClientCredentialsGrantRequest;
import com.here.account.oauth2.Fresh;
import com.here.account.oauth2.HereAccount;
import com.here.account.oauth2.HereAccessTokenProvider;
import com.here.account.oauth2.TokenEndpoint;
import com.here.account.util.SettableSystemClock;
import java.io.File;
import java.util.Properties;

/**
 * HERE's own library gets tokens from the gateway and prints them, one a line: Token FILE WAY, where FILE is a
 * credentials.properties and WAY is once, refreshing, provider or late (with a clock that is an hour slow).
 */
public final class Token {
    private static OAuth1ClientCredentialsProvider credentials(File file, SettableSystemClock clock) throws Exception {
        Properties properties = OAuth1ClientCredentialsProvider.getPropertiesFromFile(file);
        return new OAuth1ClientCredentialsProvider(clock, properties.getProperty("here.token.endpoint.url"),
            properties.getProperty("here.access.key.id"), properties.getProperty("here.access.key.secret"));
    }

    public static void main(String[] arguments) throws Exception {
        SettableSystemClock clock = new SettableSystemClock();
        if (arguments[1].equals("late"))
            clock.setCurrentTimeMillis(System.currentTimeMillis() - 3600000);
        OAuth1ClientCredentialsProvider credentials = credentials(new File(arguments[0]), clock);
        if (arguments[1].equals("provider")) {
            try (HereAccessTokenProvider provider =
                     HereAccessTokenProvider.builder().setClientAuthorizationRequestProvider(credentials).build()) {
                System.out.println(provider.getAccessToken());
            }
            return;
        }
        try (HttpProvider http = JavaHttpProvider.builder().build()) {
            TokenEndpoint endpoint = HereAccount.getTokenEndpoint(http, credentials);
            ClientCredentialsGrantRequest request = new ClientCredentialsGrantRequest();
            if (!arguments[1].equals("refreshing")) {
                AccessTokenResponse response = endpoint.requestToken(request.setExpiresIn(600L));
                if (response.getExpiresIn() != 600L)
                    throw new IllegalStateException("good for " + response.getExpiresIn() + " s");
                System.out.println(response.getAccessToken());
                return;
            }
            try (Fresh<AccessTokenResponse> fresh = endpoint.requestAutoRefreshingToken(request)) {
                System.out.println(fresh.get().getAccessToken());
                System.out.println(fresh.get().getAccessToken());
            }
        }
    }
}
