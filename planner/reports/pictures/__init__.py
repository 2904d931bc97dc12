"""Pictures of answers; matplotlib, which comes with the extra [plot], is imported when one is drawn."""
