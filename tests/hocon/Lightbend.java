import com.typesafe.config.Config;
import com.typesafe.config.ConfigFactory;
import com.typesafe.config.ConfigParseOptions;
import com.typesafe.config.ConfigRenderOptions;
import com.typesafe.config.ConfigUtil;
import java.io.BufferedReader;
import java.io.File;
import java.io.FileDescriptor;
import java.io.FileOutputStream;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import java.util.StringJoiner;
import java.util.concurrent.TimeUnit;
import java.util.function.Supplier;

/**
 * The Lightbend library, asked by lines: "render FILE" answers "ok JSON" or "error WHY"; "convert FILE" answers
 * "ok JSON" with what the getters make of each field of the root. render_each.c speaks the same.
 */
public final class Lightbend {
    private Lightbend() {}

    private static String get(Supplier<Object> getter) {
        try {
            return String.valueOf(getter.get());
        } catch (RuntimeException e) {
            return "null";
        }
    }

    private static String convert(Config config) {
        StringJoiner fields = new StringJoiner(", ", "{", "}");
        for (String key : config.root().keySet()) {
            String path = ConfigUtil.quoteString(key);
            fields.add(path + ": {\"boolean\": " + get(() -> config.getBoolean(path))
                    + ", \"integer\": " + get(() -> config.getLong(path))
                    + ", \"milliseconds\": " + get(() -> config.getDuration(path, TimeUnit.MILLISECONDS))
                    + ", \"bytes\": " + get(() -> config.getBytes(path))
                    + ", \"list\": " + get(() -> config.getList(path).render(ConfigRenderOptions.concise()))
                    + "}");
        }
        return fields.toString();
    }

    private static String answer(String line) {
        String[] words = line.split(" ", 2);
        try {
            ConfigParseOptions options = ConfigParseOptions.defaults().setAllowMissing(false);
            Config config = ConfigFactory.parseFile(new File(words[1]), options).resolve();
            return "ok " + (words[0].equals("convert") ? convert(config)
                    : config.root().render(ConfigRenderOptions.concise()));
        } catch (RuntimeException | StackOverflowError | OutOfMemoryError e) {
            return "error " + e.toString().replaceAll("\\s+", " ");
        }
    }

    public static void main(String[] arguments) throws Exception {
        BufferedReader lines = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        PrintStream out = new PrintStream(new FileOutputStream(FileDescriptor.out), false, "UTF-8");
        for (String line; (line = lines.readLine()) != null;) {
            out.println(answer(line).replace('\n', ' ').replace('\r', ' '));
            out.flush();
        }
    }
}
