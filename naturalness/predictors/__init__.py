"""Models that predict a feature cell from its surroundings."""
