"""How batches are made: samplers, augmentation, mixup, and the sequence that Keras reads."""
