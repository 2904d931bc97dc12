"""The catalog of hardware, models and prices; nothing heavy is imported here."""
