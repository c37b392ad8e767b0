package streamlayer.flink;

import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.util.zip.GZIPInputStream;
import org.apache.flink.table.functions.ScalarFunction;

/** GUNZIP(payload): what a payload of a layer whose content encoding is gzip says; as it is where it is no gzip. */
public final class Gunzip extends ScalarFunction {
    private static final int MAX_SIZE = 64 << 20; // a few bytes of gzip can become any number

    public byte[] eval(byte[] payload) throws IOException {
        if (payload == null || payload.length < 2 || (payload[0] & 0xff) != 0x1f || (payload[1] & 0xff) != 0x8b) {
            return payload;
        }
        try (GZIPInputStream in = new GZIPInputStream(new ByteArrayInputStream(payload))) {
            byte[] inflated = in.readNBytes(MAX_SIZE);
            if (in.read() >= 0) {
                throw new IOException("a payload of " + payload.length + " bytes inflates to more than " + MAX_SIZE);
            }
            return inflated;
        }
    }
}
