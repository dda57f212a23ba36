"""The Avro schemas of every topic, one .avsc a record, and the wire format. Imports nothing of ours."""
