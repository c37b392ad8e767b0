package streamlayer.flink;

import java.io.IOException;
import java.io.InputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;
import org.apache.flink.configuration.Configuration;
import org.apache.flink.configuration.StateRecoveryOptions;
import org.apache.flink.table.api.EnvironmentSettings;
import org.apache.flink.table.api.StatementSet;
import org.apache.flink.table.api.TableEnvironment;

/**
 * Runs the statements of a SQL file, its INSERTs together as one job: Pipeline [--restore CHECKPOINT] [FILE]. Without a
 * FILE it is pipeline.sql of the jar; CHECKPOINT is the directory of a checkpoint or a savepoint, as a URI or a path.
 */
public final class Pipeline {
    private static final Pattern SET =
            Pattern.compile("SET\\s+'([^']+)'\\s*=\\s*'((?:[^']|'')*)'", Pattern.CASE_INSENSITIVE);

    private Pipeline() {}

    public static void main(String[] arguments) throws Exception {
        Configuration configuration = new Configuration();
        String file = null;
        for (int i = 0; i < arguments.length; i++) {
            if (arguments[i].equals("--restore") && i + 1 < arguments.length) {
                configuration.set(StateRecoveryOptions.SAVEPOINT_PATH, uri(arguments[++i]));
            } else if (arguments[i].startsWith("-") || file != null) {
                throw new IllegalArgumentException(
                        "\"" + arguments[i] + "\" is not known; use: Pipeline [--restore CHECKPOINT] [FILE]");
            } else {
                file = arguments[i];
            }
        }
        run(file == null ? resource("/pipeline.sql") : Files.readString(Path.of(file)), configuration);
    }

    private static void run(String script, Configuration configuration) throws Exception {
        TableEnvironment tables = TableEnvironment.create(
                EnvironmentSettings.newInstance().inStreamingMode().withConfiguration(configuration).build());
        tables.createTemporarySystemFunction("GUNZIP", Gunzip.class);
        StatementSet inserts = tables.createStatementSet();
        for (String statement : statements(script)) {
            Matcher set = SET.matcher(statement);
            if (set.matches()) {
                tables.getConfig().set(set.group(1), set.group(2).replace("''", "'"));
            } else if (statement.regionMatches(true, 0, "INSERT", 0, 6)) {
                inserts.addInsertSql(statement);
            } else {
                tables.executeSql(statement);
            }
        }
        inserts.execute().await();
    }

    /** The statements between semicolons that stand in no text, name or comment; comments are left out, hints are not. */
    static List<String> statements(String script) {
        List<String> found = new ArrayList<>();
        StringBuilder statement = new StringBuilder();
        for (int at = 0, end; at < script.length(); at = end) {
            char c = script.charAt(at);
            end = at + 1;
            if (script.startsWith("--", at)) {
                end = after(script, "\n", at) - 1;
            } else if (script.startsWith("/*", at) && !script.startsWith("/*+", at)) {
                end = after(script, "*/", at + 2);
                statement.append(' '); // it parts words
            } else if (c == '\'' || c == '`') {
                end = after(script, String.valueOf(c), end);
                statement.append(script, at, end);
            } else if (c == ';') {
                add(found, statement);
            } else {
                statement.append(c);
            }
        }
        add(found, statement);
        return found;
    }

    private static int after(String script, String mark, int from) {
        int at = script.indexOf(mark, from);
        return at < 0 ? script.length() + (mark.equals("\n") ? 1 : 0) : at + mark.length();
    }

    private static void add(List<String> found, StringBuilder statement) {
        String text = statement.toString().strip();
        if (!text.isEmpty()) {
            found.add(text);
        }
        statement.setLength(0);
    }

    private static String uri(String place) {
        return place.contains(":/") ? place : Path.of(place).toAbsolutePath().toUri().toString();
    }

    private static String resource(String name) throws IOException {
        try (InputStream in = Pipeline.class.getResourceAsStream(name)) {
            if (in == null) {
                throw new IOException("the jar has no " + name + ": put it into src/main/resources and build again");
            }
            return new String(in.readAllBytes(), StandardCharsets.UTF_8);
        }
    }
}
