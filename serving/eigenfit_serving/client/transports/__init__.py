"""How calls reach a server: over gRPC, over REST, or in the same process."""
