package com.here.account.auth.provider;

import com.here.account.auth.OAuth1ClientCredentialsProvider;
import com.here.account.oauth2.ClientAuthorizationRequestProvider;
import com.here.account.oauth2.ClientCredentialsProvider;
import com.here.account.util.SettableSystemClock;
import java.io.BufferedReader;
import java.io.File;
import java.io.FileInputStream;
import java.io.InputStream;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.util.Properties;

/**
 * HERE's library, asked by lines: "properties FILE", "ini FILE PROFILE"; and "chain HOME", which tells where its
 * default chain finds credentials. Tabs part the words. Answers "ok", a tab and ID SECRET URL SCOPE, parted by tabs, or "error
 * WHY"; of the chain the name of the provider's class. It lies in the library's package, for its readers are not public.
 */
public final class Official {
    private static String part(String text) {
        StringBuilder out = new StringBuilder();
        for (char c : (text == null ? "" : text).toCharArray())
            out.append(c > ' ' && c < 0x7f && c != '%' ? String.valueOf(c) : String.format("%%%04x", (int) c));
        return out.toString();
    }

    private static String answer(Properties properties) {
        /* The library's own check that they are whole. */
        ClientCredentialsProvider provider = FromSystemProperties.getClientCredentialsProviderWithDefaultTokenEndpointUrl(
            new SettableSystemClock(), properties);
        return "ok\t" + part(properties.getProperty("here.access.key.id")) + "\t"
            + part(properties.getProperty("here.access.key.secret")) + "\t" + part(provider.getTokenEndpointUrl()) + "\t"
            + part(provider.getScope());
    }

    private static String chain(String home) {
        System.setProperty("user.home", home);
        ClientAuthorizationProviderChain chain =
            ClientAuthorizationProviderChain.getNewDefaultClientCredentialsProviderChain(new SettableSystemClock());
        ClientAuthorizationRequestProvider taken = chain.getClientCredentialsProvider();
        return "ok\t" + taken.getClass().getSimpleName();
    }

    private static String ask(String[] words) throws Exception {
        switch (words[0]) {
        case "properties":
            return answer(OAuth1ClientCredentialsProvider.getPropertiesFromFile(new File(words[1])));
        case "ini":
            try (InputStream in = new FileInputStream(words[1])) {
                return answer(FromHereCredentialsIniStream.getPropertiesFromIni(in, words[2]));
            }
        default:
            return chain(words[1]);
        }
    }

    public static void main(String[] arguments) throws Exception {
        java.util.logging.LogManager.getLogManager().reset();
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        PrintStream out = new PrintStream(System.out, true, "UTF-8");
        for (String line = in.readLine(); line != null; line = in.readLine()) {
            String answer;
            try {
                answer = ask(line.split("\t"));
            } catch (Exception e) {
                answer = "error\t" + e.toString().replaceAll("\\s+", " ");
            }
            out.println(answer);
        }
    }
}
