"""One row, one exact configuration: predictions beside the runs that others measured."""
