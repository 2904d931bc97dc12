"""What a model *is* before it is laid out: tensors, operators and parameter groups with named axes."""
