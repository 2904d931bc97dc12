"""The history of the catalog: revisions of the schema and releases of facts."""
