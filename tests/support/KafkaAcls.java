import java.io.FileReader;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.Properties;
import org.apache.kafka.clients.admin.Admin;
import org.apache.kafka.common.acl.AccessControlEntry;
import org.apache.kafka.common.acl.AclBinding;
import org.apache.kafka.common.acl.AclBindingFilter;
import org.apache.kafka.common.acl.AclOperation;
import org.apache.kafka.common.acl.AclPermissionType;
import org.apache.kafka.common.resource.PatternType;
import org.apache.kafka.common.resource.ResourcePattern;
import org.apache.kafka.common.resource.ResourceType;

/**
 * kafka-acls.sh, as far as documents and tests use it: Kafka's own is not among the jars that `streamlayer up` fetches.
 * The options are Kafka's; any other is refused. Of ours is "--" between two commands, so that one start of Java does both.
 */
public class KafkaAcls {
    public static void main(String[] arguments) throws Exception {
        int begin = 0;
        for (int i = 0; i <= arguments.length; i++) {
            if (i == arguments.length || arguments[i].equals("--")) {
                run(Arrays.copyOfRange(arguments, begin, i));
                begin = i + 1;
            }
        }
    }

    private static void run(String[] arguments) throws Exception {
        Properties settings = new Properties();
        String action = null;
        String principal = null;
        AclPermissionType permission = AclPermissionType.ALLOW;
        PatternType pattern = PatternType.LITERAL;
        List<AclOperation> operations = new ArrayList<>();
        List<Object[]> resources = new ArrayList<>();
        for (int i = 0; i < arguments.length; i++) {
            switch (arguments[i]) {
            case "--add", "--remove", "--list" -> action = arguments[i];
            case "--force" -> { }
            case "--cluster" -> resources.add(new Object[] {ResourceType.CLUSTER, "kafka-cluster"});
            case "--topic" -> resources.add(new Object[] {ResourceType.TOPIC, arguments[++i]});
            case "--group" -> resources.add(new Object[] {ResourceType.GROUP, arguments[++i]});
            case "--resource-pattern-type" -> pattern = PatternType.valueOf(arguments[++i].toUpperCase());
            case "--allow-principal" -> principal = arguments[++i];
            case "--deny-principal" -> {
                principal = arguments[++i];
                permission = AclPermissionType.DENY;
            }
            case "--operation" -> operations.add(operation(arguments[++i]));
            case "--bootstrap-server" -> settings.put("bootstrap.servers", arguments[++i]);
            case "--command-config" -> {
                try (FileReader file = new FileReader(arguments[++i])) {
                    settings.load(file);
                }
            }
            default -> throw new IllegalArgumentException(arguments[i]);
            }
        }
        List<AclBinding> bindings = new ArrayList<>();
        for (Object[] resource : resources) {
            for (AclOperation operation : operations) {
                bindings.add(new AclBinding(
                    new ResourcePattern((ResourceType) resource[0], (String) resource[1], pattern),
                    new AccessControlEntry(principal, "*", operation, permission)));
            }
        }
        try (Admin admin = Admin.create(settings)) {
            switch (action) {
            case "--add" -> admin.createAcls(bindings).all().get();
            case "--remove" -> {
                List<AclBindingFilter> filters = bindings.stream().map(AclBinding::toFilter).toList();
                if (admin.deleteAcls(filters).all().get().size() != bindings.size()) {
                    throw new IllegalStateException("there are none of these: " + bindings);
                }
            }
            case "--list" -> {
                List<String> lines = new ArrayList<>();
                admin.describeAcls(AclBindingFilter.ANY).values().get().forEach(acl -> lines.add(line(acl)));
                Collections.sort(lines);
                lines.forEach(System.out::println);
            }
            default -> throw new IllegalArgumentException("no action");
            }
        }
    }

    private static AclOperation operation(String name) {
        for (AclOperation operation : AclOperation.values()) {
            if (operation.name().replace("_", "").equalsIgnoreCase(name)) {
                return operation;
            }
        }
        throw new IllegalArgumentException(name);
    }

    private static String line(AclBinding acl) {
        return String.join(" ", acl.entry().principal(), acl.pattern().resourceType().name(), acl.pattern().name(),
                           acl.pattern().patternType().name(), acl.entry().operation().name(),
                           acl.entry().permissionType().name());
    }
}
