"""The same requests to a real etcd and to trioetcd, and their answers compared: status, headers, body, chunks."""
