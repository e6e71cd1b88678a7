"""Companies as real processes under a load of real trips, while everything around them fails; a checker decides."""
