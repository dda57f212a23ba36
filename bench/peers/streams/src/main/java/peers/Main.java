package peers;

import java.util.HashMap;
import java.util.Map;
import java.util.Properties;
import java.util.concurrent.CountDownLatch;
import org.apache.kafka.clients.consumer.ConsumerConfig;
import org.apache.kafka.clients.producer.ProducerConfig;
import org.apache.kafka.common.serialization.Serdes;
import org.apache.kafka.common.serialization.StringDeserializer;
import org.apache.kafka.common.serialization.StringSerializer;
import org.apache.kafka.streams.KafkaStreams;
import org.apache.kafka.streams.StreamsConfig;
import org.apache.kafka.streams.Topology;
import org.apache.kafka.streams.state.KeyValueBytesStoreSupplier;
import org.apache.kafka.streams.state.Stores;
import peers.avro.AccountState;
import peers.avro.Payment;
import peers.avro.TopUpCommand;
import peers.avro.Usage;

/** Kafka Streams as a peer. Arguments are name=value pairs: broker, app, usage, payments, commands, state-dir. */
public final class Main {
    private static final int USAGE_ID = 1;
    private static final int PAYMENT_ID = 2;
    private static final int COMMAND_ID = 3;
    private static final int STATE_ID = 4;

    private Main() {
    }

    public static void main(String[] args) throws InterruptedException {
        Map<String, String> o = new HashMap<>(Map.of(
                "guarantee", "at_least_once", "store", "rocksdb", "threads", "1",
                "commit-ms", "1000", "cache-mb", "64", "linger-ms", "20"));
        for (String arg : args) {
            String[] pair = arg.split("=", 2);
            o.put(pair[0], pair[1]);
        }
        KafkaStreams streams = new KafkaStreams(topology(o), config(o));
        CountDownLatch done = new CountDownLatch(1);
        streams.setUncaughtExceptionHandler(e -> {
            e.printStackTrace();
            Runtime.getRuntime().halt(2);
            return null;
        });
        Runtime.getRuntime().addShutdownHook(new Thread(() -> {
            streams.close();
            done.countDown();
        }));
        streams.start();
        done.await();
    }

    private static Topology topology(Map<String, String> o) {
        KeyValueBytesStoreSupplier supplier = o.get("store").equals("memory")
                ? Stores.inMemoryKeyValueStore(Billing.STORE)
                : Stores.persistentKeyValueStore(Billing.STORE);
        var builder = Stores.keyValueStoreBuilder(supplier, Serdes.String(), new StateSerde())
                .withCachingEnabled()
                .withLoggingEnabled(Map.of());
        return new Topology()
                .addSource("usage", new StringDeserializer(),
                        new PerThread<>(() -> new AvroSerde<>(USAGE_ID, Usage.class)), o.get("usage"))
                .addSource("payments", new StringDeserializer(),
                        new PerThread<>(() -> new AvroSerde<>(PAYMENT_ID, Payment.class)), o.get("payments"))
                .addProcessor("bill-usage", Billing.UsageProcessor::new, "usage")
                .addProcessor("apply-payment", Billing.PaymentProcessor::new, "payments")
                .addStateStore(builder, "bill-usage", "apply-payment")
                .addSink("commands", o.get("commands"), new StringSerializer(),
                        new PerThread<>(() -> new AvroSerde<>(COMMAND_ID, TopUpCommand.class)), "bill-usage");
    }

    /** Streams asks for the store's serde once for the whole topology, so it is kept per thread. */
    private static final class StateSerde extends PerThread<AccountState> {
        StateSerde() {
            super(() -> new AvroSerde<>(STATE_ID, AccountState.class));
        }
    }

    private static Properties config(Map<String, String> o) {
        Properties p = new Properties();
        p.put(StreamsConfig.APPLICATION_ID_CONFIG, o.get("app"));
        p.put(StreamsConfig.BOOTSTRAP_SERVERS_CONFIG, o.get("broker"));
        p.put(StreamsConfig.PROCESSING_GUARANTEE_CONFIG, o.get("guarantee"));
        p.put(StreamsConfig.NUM_STREAM_THREADS_CONFIG, o.get("threads"));
        p.put(StreamsConfig.COMMIT_INTERVAL_MS_CONFIG, o.get("commit-ms"));
        p.put(StreamsConfig.STATESTORE_CACHE_MAX_BYTES_CONFIG, Long.parseLong(o.get("cache-mb")) << 20);
        p.put(StreamsConfig.STATE_DIR_CONFIG, o.get("state-dir"));
        p.put(StreamsConfig.REPLICATION_FACTOR_CONFIG, 1);
        p.put(StreamsConfig.consumerPrefix(ConsumerConfig.AUTO_OFFSET_RESET_CONFIG), "earliest");
        p.put(StreamsConfig.consumerPrefix(ConsumerConfig.MAX_POLL_RECORDS_CONFIG), 2000);
        p.put(StreamsConfig.consumerPrefix(ConsumerConfig.MAX_PARTITION_FETCH_BYTES_CONFIG), 4_000_000);
        p.put(StreamsConfig.consumerPrefix(ConsumerConfig.FETCH_MAX_WAIT_MS_CONFIG), 50);
        p.put(StreamsConfig.BUFFERED_RECORDS_PER_PARTITION_CONFIG, 4000);
        p.put(StreamsConfig.producerPrefix(ProducerConfig.COMPRESSION_TYPE_CONFIG), "lz4");
        p.put(StreamsConfig.producerPrefix(ProducerConfig.LINGER_MS_CONFIG), o.get("linger-ms"));
        p.put(StreamsConfig.producerPrefix(ProducerConfig.BATCH_SIZE_CONFIG), 262_144);
        p.put(StreamsConfig.producerPrefix(ProducerConfig.BUFFER_MEMORY_CONFIG), 64L << 20);
        return p;
    }
}
