"""The vocabulary of etcd's API: messages, RPCs, errors, codecs. Imports nothing else of this project."""
