"""The harness of the interoperability tests: installs clients, starts nodes, runs cases, counts."""
