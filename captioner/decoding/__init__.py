"""From a generator's word distributions to sentences."""
