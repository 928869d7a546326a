"""The version of this package; on a cluster it runs from a folder, without the metadata that an installed one has."""

VERSION = "0.1.0"
