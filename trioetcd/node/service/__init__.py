"""The services of the API: one method an RPC, whatever front end it came by."""
