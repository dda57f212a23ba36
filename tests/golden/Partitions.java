// Prints the partition that the Java client gives each key: what the golden file beside this is made of.
// Reads one key a line (UTF-8) from standard input; writes KEY, then its partition of 4, 12 and 1000, tab-separated.
import java.io.BufferedReader;
import java.io.InputStreamReader;
import java.io.PrintStream;
import java.nio.charset.StandardCharsets;
import org.apache.kafka.clients.producer.internals.BuiltInPartitioner;

public class Partitions {
    public static void main(String[] arguments) throws Exception {
        PrintStream out = new PrintStream(System.out, false, StandardCharsets.UTF_8);
        BufferedReader in = new BufferedReader(new InputStreamReader(System.in, StandardCharsets.UTF_8));
        for (String line = in.readLine(); line != null; line = in.readLine()) {
            byte[] key = line.getBytes(StandardCharsets.UTF_8);
            out.print(line);
            for (int partitions : new int[] {4, 12, 1000}) {
                out.print("\t" + BuiltInPartitioner.partitionForKey(key, partitions));
            }
            out.print("\n");
        }
        out.flush();
    }
}
