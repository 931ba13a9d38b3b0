"""What all trainings share: losses, batching, optimisers, callbacks, checkpoints."""
